#!/usr/bin/env python3
"""Sends flowrelay what is no flow export: nothing of it passes, and whatever passes of damaged flow export is accepted by a
check of headers of its own, written here after the standards.

usage: garbage.py [--corpus FOLDER] [--mutations N] [--seed N]          needs python3-zmq

The relay runs with --insecure; this script takes the collector's part, so it sees exactly what passes.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import zmq

REPO = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "release"


# What a message has to be, by RFC 3954, RFC 7011, Cisco's NetFlow v5 and v7 and sflow_version_5.txt.

def fixed(data, record, most):
    count = struct.unpack_from(">H", data, 2)[0]
    return 1 <= count <= most and len(data) == 24 + count * record


def templates(body, options, scopes_counted, enterprise):
    """A set of templates: whole ones, then at most padding."""
    at = 0
    while len(body) - at >= 4 and any(body[at:]):
        number, fields = struct.unpack_from(">HH", body, at)
        at += 4
        if number < 256:
            return False
        if fields == 0 and enterprise:
            continue  # A withdrawal (RFC 7011, section 8.1).
        if options:
            if at + 2 > len(body):
                return False
            second = struct.unpack_from(">H", body, at)[0]
            at += 2
            if scopes_counted:
                if not 0 < second <= fields:
                    return False
            else:
                # Of version 9 both are lengths in bytes.
                if fields % 4 or second % 4:
                    return False
                fields = (fields + second) // 4
        for _ in range(fields):
            if at + 4 > len(body):
                return False
            element = struct.unpack_from(">H", body, at)[0]
            at += 8 if enterprise and element & 0x8000 else 4
            if at > len(body):
                return False
    # Fewer than four bytes are padding, whose value nobody has to look at (RFC 7011, section 3.3.1).
    return len(body) - at < 4 or not any(body[at:])


def sets(data, at, ids, enterprise):
    while at < len(data):
        if not any(data[at:]) and not enterprise:
            return True  # Padding behind the last set, as Cisco ACI sends it.
        if at + 4 > len(data):
            return False
        number, length = struct.unpack_from(">HH", data, at)
        if length < 4 or at + length > len(data):
            return False
        body = data[at + 4:at + length]
        if number in ids:
            if not templates(body, number == ids[1], enterprise, enterprise):
                return False
        elif number < 256:
            return False
        at += length
    return True


def sflow(data):
    at = 4
    kind = struct.unpack_from(">I", data, at)[0]
    at += 4 + {1: 4, 2: 16}.get(kind, 1 << 20)
    if at + 16 > len(data):
        return False
    samples = struct.unpack_from(">I", data, at + 12)[0]
    at += 16
    for _ in range(samples):
        if at + 8 > len(data):
            return False
        length = struct.unpack_from(">I", data, at + 4)[0]
        at += 8 + length
        if length % 4 or at > len(data):
            return False
    return samples > 0 and at == len(data)


def is_flow(data):
    """Whether the headers of this datagram hold together."""
    if len(data) < 8:
        return False
    version = struct.unpack_from(">H", data)[0]
    if version == 5 and len(data) >= 24:
        return fixed(data, 48, 30)
    if version == 7 and len(data) >= 24:
        return fixed(data, 52, 28)
    if version == 9 and len(data) > 20:
        return sets(data, 20, (0, 1), False)
    if version == 10 and len(data) > 16:
        return struct.unpack_from(">H", data, 2)[0] == len(data) and sets(data, 16, (2, 3), True)
    return data[:4] == b"\0\0\0\5" and sflow(data)


def garbage(chance):
    """Kinds of what is no flow export."""
    dns = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\7example\3com\0\0\1\0\1"
    v9 = struct.pack(">HHIIII", 9, 1, 1, 1, 1, 1)
    return {
        "http": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "dns": dns,
        "tls": bytes.fromhex("16030100c8010000c40303") + chance.randbytes(190),
        "snmp": bytes.fromhex("302602010104067075626c6963a019020401020304020100020100300b300906052b060102010500"),
        "syslog": b"<34>1 2026-11-27T12:00:00Z host su - ID47 - failed for root",
        "ntp": bytes.fromhex("1b") + bytes(47),
        "sip": b"OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n",
        "quic": bytes.fromhex("c300000001088394c8f03e51570800449e") + chance.randbytes(1183),
        "zeros": bytes(200),
        "ones": b"\xff" * 200,
        "empty": b"",
        "random": chance.randbytes(chance.randint(1, 1400)),
        "netflow v1": struct.pack(">HH", 1, 1) + bytes(12 + 52),
        "netflow v8": struct.pack(">HH", 8, 1) + bytes(24 + 28),
        "sflow v4": struct.pack(">III", 4, 1, 0x0A000001) + bytes(12),
        "v9 header alone, cut": v9[:15],
        "v9 set over the end": v9 + struct.pack(">HH", 256, 40) + bytes(8),
        "v9 reserved set": v9 + struct.pack(">HH", 9, 8) + bytes(4),
        "v9 template over the end": v9 + struct.pack(">HHHH", 0, 12, 256, 9) + bytes(4),
        "v5 cut": struct.pack(">HH", 5, 2) + bytes(20 + 48),
        "ipfix, other length": struct.pack(">HHIII", 10, 40, 1, 1, 1) + struct.pack(">HH", 256, 8) + bytes(4),
        "sflow, count beyond the end": struct.pack(">IIIIIII", 5, 1, 0x0A000001, 0, 1, 1, 7) + struct.pack(">II", 1, 8) + bytes(8),
    }


def mutated(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        what = chance.randrange(4)
        if not data:
            break
        if what == 0:
            data[chance.randrange(len(data))] = chance.randrange(256)
        elif what == 1:
            del data[chance.randrange(len(data)):]
        elif what == 2:
            data[chance.randrange(min(len(data), 64))] ^= 1 << chance.randrange(8)
        else:
            at = chance.randrange(len(data))
            data[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(data[:9000])


class Collector:
    """The collector's part of docs/relay-protocol.md."""

    def __init__(self, port):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.PROBE_ROUTER, 1)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.epoch, self.next, self.beat = 0, 0, 0

    def take(self, seconds):
        """Datagrams that came within so many seconds."""
        out = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() - self.beat > 1 and self.epoch:
                self.beat = time.monotonic()
                self.socket.send(struct.pack(">BBHQ", 1, 7, 0, 0))
            if not self.socket.poll(min(left, 0.05) * 1000):
                continue
            frame = self.socket.recv()
            if frame[1] == 1:
                relay, self.epoch, first, _ = frame[4:20], *struct.unpack_from(">QQQ", frame, 20)
                self.socket.send(struct.pack(">BBH16sQQ", 1, 2, 0, relay, self.epoch, first))
            elif frame[1] == 3:
                count, first = struct.unpack_from(">IQ", frame, 4)
                at = 28
                for _ in range(count):
                    length, _, _, family = struct.unpack_from(">HHHB", frame, at)
                    at += 16 if family == 4 else 28
                    out.append(frame[at:at + length])
                    at += length
                assert at == len(frame), "a batch with bytes behind it"
                self.next = first + count
                self.socket.send(struct.pack(">BBHQQ", 1, 4, 0, self.epoch, self.next))
        return out


def corpus_datagrams(corpus):
    out = []
    for kind in ("netflow", "sflow"):
        out += [path.read_bytes() for path in sorted((corpus / kind).rglob("*.dat"))]
    return [data for data in out if 0 < len(data) <= 9000]


def free(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", type=pathlib.Path,
                           default=pathlib.Path(os.environ.get("CORPUS") or REPO.parent / "shared/corpus"))
    arguments.add_argument("--mutations", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    whole = corpus_datagrams(arguments.corpus)
    if not whole:
        sys.exit(f"garbage.py: no netflow/ and sflow/ in {arguments.corpus}; set CORPUS to the folder of captures")
    chance = random.Random(arguments.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowrelay-"))
    exports, link = free(socket.SOCK_DGRAM), free(socket.SOCK_STREAM)
    (folder / "allowed").write_text("127.0.0.1\n")
    relay = subprocess.Popen(
        [TARGET / "flowrelay", "-c", f"127.0.0.1:{exports}", "-z", f"tcp://127.0.0.1:{link}c", "--insecure", "--ledger",
         "ledger.json", "--ledger-interval", "1", "--dump-bad-packets", "bad.pcap", "--allow-file", "allowed",
         "--dont-drop-privileges"], cwd=folder, stderr=subprocess.DEVNULL)
    problems = []
    try:
        collector = Collector(link)
        collector.take(1)
        assert collector.epoch, "the relay does not welcome"
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.connect(("127.0.0.1", exports))
        kinds = garbage(chance)
        for data in kinds.values():
            assert not is_flow(data)
            out.send(data)
        passed = collector.take(1)
        if passed:
            problems.append(f"{len(passed)} of {len(kinds)} kinds of garbage passed")
        sent = len(kinds)
        # What is whole, and damaged.
        damaged = []
        for n in range(0, arguments.mutations, 200):
            for _ in range(200):
                data = mutated(chance, chance.choice(whole))
                out.send(data)
                sent += 1
            damaged += collector.take(0.03)
        damaged += collector.take(1)
        wrong = [data for data in damaged if not is_flow(data)]
        for data in wrong[:5]:
            print(f"  passed: {data.hex()[:200]}", file=sys.stderr)
        if wrong:
            problems.append(f"{len(wrong)} of {len(damaged)} that passed are not accepted here")
        if len(damaged) < arguments.mutations // 50:
            problems.append("hardly anything passed")
        # Who may send is read again on SIGHUP.
        (folder / "allowed").write_text("192.0.2.0/24\n")
        relay.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        good = next(data for data in whole if is_flow(data))
        for _ in range(10):
            out.send(good)
        if collector.take(1):
            problems.append("who is not allowed after SIGHUP passes")
        sent += 10
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.wait(20)
    stages = json.loads((folder / "ledger.json").read_text())["stages"]
    exporter, = [stage for stage in stages if stage["stage"] == "exporter"]
    lost = {reason: count for reason, count in exporter["lost"].items() if count}
    print(f"{len(kinds)} kinds of garbage: {len(passed)} passed; of {arguments.mutations} damaged datagrams {len(damaged)} passed, "
          f"{len(wrong)} wrongly; received {exporter['received']} of {sent}, delivered {exporter['delivered']}, lost {lost}")
    if exporter["received"] != sent or exporter["delivered"] != len(damaged) or lost.get("not_allowed") != 10:
        problems.append("the ledger tells something else")
    if (folder / "bad.pcap").stat().st_size < lost["not_flow"] * 40:
        problems.append("bad.pcap does not have them all")
    for problem in problems:
        print(f"garbage.py: {problem}", file=sys.stderr)
    shutil.rmtree(folder)
    sys.exit(bool(problems))


main()
