#!/usr/bin/env python3
"""A subscriber to ZeroMQ messages as ntopng takes them; what it reads it prints as JSON, a line a message.

It is written from the description of the format alone and shares nothing with the program, so that it can tell when that
is wrong. Needs pyzmq.

    subscriber.py tcp://127.0.0.1:5556                          connect to a publisher
    subscriber.py --bind tcp://127.0.0.1:*                      listen for publishers; says where on standard error
    subscriber.py --curve-secret KEY|@FILE ...                  be the CURVE server, with a secret key in Z85
    subscriber.py --count 10 --timeout 5 ...                    ten messages; give up after 5 s without any

A line has: topic; header (v0, v1, v2 or v4); version; msg_id; source_id; size (of the payload as sent); tlv; zlib; and
payload: the JSON text's value, or of TLV a list of records. With --records there is one line a record instead. A message
that is wrong has error instead of payload.

Exit status: 0 done; 1 --count was not reached; 3 a message was wrong. At the end standard error tells, for each source,
how many messages came and how many numbers were missing.
"""

import argparse
import json
import struct
import sys
import time
import zlib

import zmq

TOPICS = ["flow", "event", "counter", "template", "option", "hello", "listening-ports", "snmp-ifaces"]
LIMIT = 131072
# What ntopng 6.2 makes room for where the header does not tell.
GUESS = 43690


class Wrong(Exception):
    """The message is not as described."""


def text_of(padded):
    name, _, rest = padded.partition(b"\0")
    if rest.strip(b"\0"):
        raise Wrong("bytes after the topic's zero")
    return name.decode("ascii")


def read_header(frame):
    """Chosen by the frame's length first, then by the version."""
    if len(frame) == 40:
        topic, version, size = struct.unpack("=32sII", frame)
        return dict(topic=text_of(topic), header="v0", version=version, msg_id=0, source_id=0, stated=size,
                    tlv=version == 3, zlib=None)
    if len(frame) == 24:
        topic, version, source, size = struct.unpack(">16sBBH", frame[:20])
        if version not in (0, 1, 2, 3):
            raise Wrong(f"version {version} in 24 bytes")
        order = "=" if version == 1 else ">"
        (number,) = struct.unpack(order + "I", frame[20:])
        return dict(topic=text_of(topic), header="v1", version=version, msg_id=number,
                    source_id=0 if version == 1 else source, stated=size, tlv=version == 3, zlib=None)
    if len(frame) == 28:
        topic, version, padding, size, number = struct.unpack(">16sBBHI", frame[:24])
        (source,) = struct.unpack("=I", frame[24:])
        if version not in (2, 3) or padding:
            raise Wrong(f"version {version}, padding {padding} in 28 bytes")
        return dict(topic=text_of(topic), header="v2", version=version, msg_id=number, source_id=source, stated=size,
                    tlv=version == 3, zlib=None)
    if len(frame) == 36:
        topic, version, flags, padding, plain, packed = struct.unpack("<16sBBHII", frame[:28])
        (number,) = struct.unpack(">I", frame[28:32])
        (source,) = struct.unpack("=I", frame[32:])
        if version != 4 or padding or flags & ~6:
            raise Wrong(f"version {version}, flags {flags}, padding {padding} in 36 bytes")
        return dict(topic=text_of(topic), header="v4", version=version, msg_id=number, source_id=source, stated=plain,
                    packed=packed, tlv=bool(flags & 2), zlib=bool(flags & 4))
    raise Wrong(f"a header of {len(frame)} bytes")


def inflate(stream, room):
    """With no more room than the receiver would make."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(stream, room)
    except zlib.error as error:
        raise Wrong(f"zlib: {error}") from error
    if not inflater.eof:
        raise Wrong(f"does not inflate into {room} bytes")
    return plain


def plain_payload(header, payload, password):
    if not 0 < len(payload) <= LIMIT:
        raise Wrong(f"a payload of {len(payload)} bytes")
    if header["header"] == "v4":
        if header["zlib"]:
            # ntopng 6.2 and 6.4: the compressed size, and 16 more.
            payload = inflate(payload, header["packed"] + 16)
        if header["stated"] != len(payload):
            raise Wrong(f"{len(payload)} bytes, the header says {header['stated']}")
    else:
        header["zlib"] = not header["tlv"] and payload[0] == 0
        if header["header"] != "v0" and header["stated"] != min(len(payload), 65535):
            raise Wrong(f"{len(payload)} bytes, the header says {header['stated']}")
        if header["zlib"]:
            # The least room of all releases: 4.0's guess, and 6.2's.
            payload = inflate(payload[1:], min(max(5 * len(payload[1:]), 8192), GUESS))
    if password:
        payload = bytes(byte ^ password[at % len(password)] for at, byte in enumerate(payload))
    return payload


class Tlv:
    """Items one after the other: a byte of two types, key's and value's, then the key, then the value."""

    UNSIGNED = {2: 1, 3: 2, 4: 4, 5: 8}
    SIGNED = {6: 1, 7: 2, 8: 4, 9: 8}

    def __init__(self, payload):
        if payload[:2] != b"\1\1":
            raise Wrong(f"TLV begins with {payload[:2].hex()}")
        self.payload, self.at = payload, 2

    def take(self, count):
        if self.at + count > len(self.payload):
            raise Wrong(f"TLV ends at {len(self.payload)}, within an item")
        self.at += count
        return self.payload[self.at - count:self.at]

    def string(self):
        raw = self.take(int.from_bytes(self.take(2), "big"))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def value(self, kind):
        if kind in self.UNSIGNED:
            return int.from_bytes(self.take(self.UNSIGNED[kind]), "big")
        if kind in self.SIGNED:
            return int.from_bytes(self.take(self.SIGNED[kind]), "big", signed=True)
        if kind == 10:
            return struct.unpack("=f", self.take(4))[0]
        if kind == 11:
            return self.string()
        raise Wrong(f"TLV value type {kind} at {self.at - 1}")

    def key(self, kind):
        if kind in (2, 3, 4):
            return str(int.from_bytes(self.take(self.UNSIGNED[kind]), "big"))
        if kind == 11:
            return self.string()
        raise Wrong(f"TLV key type {kind} at {self.at - 1}")

    def records(self):
        records, record = [], {}
        while self.at < len(self.payload):
            types = self.take(1)[0]
            if types == 1:
                records.append(record)
                record = {}
                continue
            key_kind, value_kind = types >> 4, types & 15
            key = self.key(key_kind)
            if key_kind == 11 and key.isdigit():
                raise Wrong(f"key {key} is text, though a number")
            if key in record:
                raise Wrong(f"key {key} twice in a record")
            record[key] = self.value(value_kind)
        if record:
            records.append(record)
        return records


def read_payload(header, payload):
    if header["tlv"]:
        if header["topic"][:1] not in ("f", "c"):
            raise Wrong(f"TLV under topic {header['topic']}")
        return Tlv(payload).records()
    try:
        return json.loads(payload)
    except ValueError as error:
        raise Wrong(f"JSON: {error}") from error


def read_message(frames, password):
    """What is printed of a message."""
    if len(frames) != 2:
        raise Wrong(f"{len(frames)} frames")
    header = read_header(frames[0])
    try:
        payload = read_payload(header, plain_payload(header, frames[1], password))
        line = dict(payload=payload)
    except Wrong as error:
        line = dict(error=str(error))
    del header["stated"]
    header.pop("packed", None)
    return {**header, "size": len(frames[1]), **line}


class Drops:
    """Numbers that are missing, by source."""

    def __init__(self):
        self.last, self.seen, self.missing = {}, {}, {}

    def take(self, message):
        source, number = message["source_id"], message["msg_id"]
        last = self.last.get(source)
        if last is not None and number > last + 1:
            self.missing[source] = self.missing.get(source, 0) + number - last - 1
        self.last[source] = number
        self.seen[source] = self.seen.get(source, 0) + 1


def subscribe(options):
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, options.high_water)
    if options.curve_secret:
        secret = options.curve_secret
        if secret.startswith("@"):
            with open(secret[1:], encoding="ascii") as file:
                secret = file.read().strip()
        secret = secret.encode("ascii")
        socket.curve_secretkey = secret
        socket.curve_publickey = zmq.curve_public(secret)
        socket.curve_server = True
    for topic in options.topics.split(","):
        socket.setsockopt(zmq.SUBSCRIBE, topic.encode("ascii"))
    for endpoint in options.endpoint:
        if options.bind:
            socket.bind(endpoint)
            print(f"listening on {socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip(chr(0))}", file=sys.stderr,
                  flush=True)
        else:
            socket.connect(endpoint)
    return socket


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint", nargs="+")
    parser.add_argument("--bind", action="store_true", help="listen there rather than connect")
    parser.add_argument("--topics", default=",".join(TOPICS), help="prefixes to subscribe to")
    parser.add_argument("--curve-secret", metavar="KEY", help="own secret key in Z85, or @FILE")
    parser.add_argument("--password", default="", help="of --zmq-encrypt-pwd")
    parser.add_argument("--count", type=int, help="end after so many messages")
    parser.add_argument("--timeout", type=float, default=10, help="end after so many seconds without a message")
    parser.add_argument("--wait", type=float, help="the same for the first message")
    parser.add_argument("--until", metavar="TOPIC", help="end after a message of this topic")
    parser.add_argument("--pause", type=float, default=0, help="seconds of sleep after each message")
    parser.add_argument("--high-water", type=int, default=1000, help="messages read ahead")
    parser.add_argument("--records", action="store_true", help="a line a record")
    parser.add_argument("--quiet", action="store_true", help="print nothing, only check")
    return parser.parse_args()


def show(message, options):
    if options.quiet:
        return
    payload = message.get("payload")
    lines = [message]
    if options.records and isinstance(payload, list):
        lines = [{**message, "payload": record} for record in payload]
    for line in lines:
        print(json.dumps(line), flush=True)


def main():
    options = parse_options()
    socket = subscribe(options)
    drops, count, records, wrong = Drops(), 0, 0, 0
    patience = options.wait or options.timeout
    while options.count is None or count < options.count:
        if not socket.poll(patience * 1000):
            break
        patience = options.timeout
        frames = socket.recv_multipart()
        count += 1
        try:
            message = read_message(frames, options.password.encode())
            drops.take(message)
        except Wrong as error:
            message = dict(error=str(error), topic="")
        wrong += "error" in message
        if message["topic"].startswith("flow"):
            payload = message.get("payload", [])
            records += len(payload) if isinstance(payload, list) else 1
        show(message, options)
        if options.until and message["topic"] == options.until:
            break
        time.sleep(options.pause)
    for source, seen in drops.seen.items():
        print(f"source {source}: {seen} messages, {drops.missing.get(source, 0)} missing", file=sys.stderr)
    print(f"{count} messages, {records} flow records, {wrong} wrong", file=sys.stderr)
    socket.close(linger=0)
    if wrong:
        return 3
    return 1 if options.count is not None and count < options.count else 0


if __name__ == "__main__":
    sys.exit(main())
