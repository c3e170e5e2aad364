#!/usr/bin/env python3
"""A slow stand-in for the probe: the agreed command line, enough of it to test
the harness before, or without, the real binary.

It is a third reading of the same captures (own pcap, link, IP and TCP code, no
tshark), so where it agrees with the oracle both are likely right. It has no
tunnels, no retransmission rules worth the name and no live capture.
"""

import argparse
import gzip
import ipaddress
import json
import socket
import struct
import sys
import time

import wire

SYN, FIN, ACK = 2, 1, 16
PORTS = (6, 17, 33, 132, 136)


def read_capture(path):
    """(time in seconds, link type, bytes, wire length) of each packet."""
    for when, *rest in read_nanos(path):
        yield when / 1e9, *rest


def read_nanos(path):
    """The same with whole nanoseconds, which a float of seconds cannot tell."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        yield from read_pcapng(data)
        return
    for order in "<>":
        magic = struct.unpack_from(order + "I", data)[0]
        if magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34):
            break
    else:
        raise ValueError("not a capture")
    part = 1 if magic == 0xA1B23C4D else 1000
    header = 24 if magic == 0xA1B2CD34 else 16
    link = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFFFFFF
    at = 24
    while at + header <= len(data):
        seconds, fraction, size, length = struct.unpack_from(order + "4I", data, at)
        at += header
        if at + size > len(data):
            return
        yield seconds * 10**9 + fraction * part, link, data[at : at + size], length
        at += size


def read_pcapng(data):
    at, order, interfaces = 0, "<", []
    while at + 12 <= len(data):
        kind = struct.unpack_from(order + "I", data, at)[0]
        if kind == 0x0A0D0D0A:
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        size = struct.unpack_from(order + "I", data, at + 4)[0]
        if size < 12 or at + size > len(data):
            return
        body = data[at + 8 : at + size - 4]
        if kind == 1:
            interfaces.append(interface(order, body))
        elif kind == 6:
            number, high, low, caught, length = struct.unpack_from(order + "5I", body)
            link, ticks, offset = interfaces[number]
            when = ((high << 32) | low) * 10**9 // ticks + offset * 10**9
            yield when, link, body[20 : 20 + caught], length
        elif kind == 3 and interfaces:
            length = struct.unpack_from(order + "I", body)[0]
            yield 0, interfaces[0][0], body[4 : 4 + length], length
        elif kind == 2:
            number, _, high, low, caught, length = struct.unpack_from(order + "HHIIII", body)
            link, ticks, offset = interfaces[number]
            yield ((high << 32) | low) * 10**9 // ticks + offset * 10**9, link, body[20 : 20 + caught], length
        at += size


def interface(order, body):
    """Link type, ticks a second, and seconds that stamps are off."""
    link, ticks, offset, at = struct.unpack_from(order + "H", body)[0], 10**6, 0, 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == 9:
            value = body[at + 4]
            ticks = 2 ** (value & 127) if value & 128 else 10**value
        if code == 14:
            offset = struct.unpack_from(order + "q", body, at + 4)[0]
        at += 4 + (size + 3) // 4 * 4
    return link, ticks, offset


def to_ip(link, frame):
    """The offset of the outermost IP header, or None."""
    if link == 1:
        return ethertype(frame, 12)
    if link == 113:
        return ethertype(frame, 14)
    if link == 276:
        return ethertype(frame, 0, 20)
    if link in (101, 12, 14, 228, 229):
        return 0
    if link in (0, 108):
        return 4 if len(frame) > 4 and frame[4] >> 4 in (4, 6) else None
    if link == 9:
        at = 2 if frame[:1] in (b"\xff", b"\x0f", b"\x8f") else 0
        return ppp(frame, at)
    if link in (50, 51):
        return ppp(frame, 2 if frame[:1] == b"\xff" else 0)
    return None


def ppp(frame, at):
    kind = int.from_bytes(frame[at : at + 2], "big")
    if kind in (0x21, 0x57):
        return at + 2
    if frame[at : at + 1] in (b"\x21", b"\x57"):
        return at + 1
    return mpls(frame, at + 2) if kind in (0x281, 0x283) else None


def ethertype(frame, at, after=None):
    for _ in range(16):
        kind = int.from_bytes(frame[at : at + 2], "big")
        following = at + 2 if after is None else after
        after = None
        if kind in (0x0800, 0x86DD):
            return following
        if kind in (0x8100, 0x88A8, 0x9100, 0x9200):
            at = following + 2
        elif kind in (0x8847, 0x8848):
            return mpls(frame, following)
        elif kind == 0x8864:
            return ppp(frame, following + 6)
        elif kind <= 1500 and frame[following : following + 3] == b"\xaa\xaa\x03":
            at = following + 6
        else:
            return None
    return None


def mpls(frame, at):
    while at + 4 <= len(frame):
        last = frame[at + 2] & 1
        at += 4
        if last:
            if at < len(frame) and frame[at] >> 4 in (4, 6):
                return at
            if frame[at : at + 1] == b"\0" and len(frame) > at + 18:
                return ethertype(frame, at + 4 + 12)
            return ethertype(frame, at + 12)
    return None


class Packet:
    pass


def parse(frame, at):
    if at is None or len(frame) < at + 20:
        return None
    p = Packet()
    p.flags = p.seq = p.icmp = 0
    p.payload = 0
    p.fragment = p.later = False
    p.id = None
    p.version = frame[at] >> 4
    if p.version == 4:
        header = (frame[at] & 15) * 4
        p.bytes = int.from_bytes(frame[at + 2 : at + 4], "big") or len(frame) - at
        if header < 20 or p.bytes < header:
            return None
        fragment = int.from_bytes(frame[at + 6 : at + 8], "big")
        p.later = fragment & 0x1FFF != 0
        p.fragment = p.later or fragment & 0x2000 != 0
        p.ttl, p.protocol = frame[at + 8], frame[at + 9]
        p.src, p.dst = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
        p.id = (p.src, p.dst, p.protocol, frame[at + 4 : at + 6])
        end, at = at + p.bytes, at + header
    elif p.version == 6 and len(frame) >= at + 40:
        p.bytes = 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
        p.protocol, p.ttl = frame[at + 6], frame[at + 7]
        p.src, p.dst = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
        end, at = at + p.bytes, at + 40
        while p.protocol in (0, 43, 44, 60) and at + 8 <= len(frame):
            if p.protocol == 0 and p.bytes == 40 and frame[at + 2 : at + 4] == b"\xc2\x04":
                p.bytes += int.from_bytes(frame[at + 4 : at + 8], "big")
                end += p.bytes - 40
            if p.protocol == 44:
                field = int.from_bytes(frame[at + 2 : at + 4], "big")
                p.later = field >> 3 != 0
                p.fragment = p.later or field & 1 != 0
                p.id = (p.src, p.dst, 6, frame[at + 4 : at + 8])
                p.protocol, at = frame[at], at + 8
                if p.later:
                    break
            else:
                p.protocol, at = frame[at], at + 8 + frame[at + 1] * 8
    else:
        return None
    p.sport = p.dport = 0
    if p.later:
        return p
    data = frame[at : min(end, len(frame))]
    if p.protocol in PORTS and len(data) >= 4:
        p.sport, p.dport = struct.unpack_from(">HH", data)
    if p.protocol == 6 and len(data) >= 14:
        p.seq, p.flags = struct.unpack_from(">I", data, 4)[0], data[13]
        p.payload = max(0, end - at - (data[12] >> 4) * 4)
    if p.protocol in (1, 58) and len(data) >= 2:
        p.icmp = data[0] * 256 + data[1]
    return p


class Flow:
    def __init__(self, p, when):
        self.client = (p.src, p.sport)
        self.p = p
        self.start = self.end = when
        self.packets, self.bytes = [0, 0], [0, 0]
        self.fragments, self.flags = [0, 0], [0, 0]
        self.base, self.top = [None, None], [None, None]
        self.again = [0, 0]
        self.ttl = [255, 0]
        self.syn = self.synack = self.ack = None

    def add(self, p, when):
        way = 0 if (p.src, p.sport) == self.client else 1
        self.start, self.end = min(self.start, when), max(self.end, when)
        self.packets[way] += 1
        self.bytes[way] += p.bytes
        self.fragments[way] += p.fragment
        self.flags[way] |= p.flags
        self.ttl = [min(self.ttl[0], p.ttl), max(self.ttl[1], p.ttl)]
        if p.protocol == 6 and not p.later:
            self.tcp(p, way, when)

    def tcp(self, p, way, when):
        if self.base[way] is None:
            self.base[way] = p.seq if p.flags & SYN else p.seq - 1
        if p.flags & SYN:
            if p.flags & ACK:
                self.synack = when
            else:
                self.syn = when
        elif p.flags & ACK and self.synack and self.ack is None:
            self.ack = when
        end = p.seq + p.payload + bool(p.flags & (SYN | FIN))
        if end != p.seq:
            if self.top[way] is not None and end <= self.top[way]:
                self.again[way] += 1
            self.top[way] = max(self.top[way] or 0, end)

    def record(self):
        p = self.p
        half = [0.0, 0.0]
        if self.syn and self.synack and self.ack:
            half = [(self.ack - self.synack) * 500, (self.synack - self.syn) * 500]
        v4 = p.version == 4
        text = lambda octets: str(ipaddress.ip_address(octets))
        return {
            "IPV4_SRC_ADDR": text(self.client[0]) if v4 else "0.0.0.0",
            "IPV4_DST_ADDR": text(p.dst) if v4 else "0.0.0.0",
            "IPV6_SRC_ADDR": "::" if v4 else text(self.client[0]),
            "IPV6_DST_ADDR": "::" if v4 else text(p.dst),
            "L4_SRC_PORT": self.client[1],
            "L4_DST_PORT": p.dport,
            "PROTOCOL": p.protocol,
            "IP_PROTOCOL_VERSION": p.version,
            "IN_PKTS": self.packets[0], "OUT_PKTS": self.packets[1],
            "IN_BYTES": self.bytes[0], "OUT_BYTES": self.bytes[1],
            "FLOW_START_MILLISECONDS": int(self.start * 1000 + 1e-4),
            "FLOW_END_MILLISECONDS": int(self.end * 1000 + 1e-4),
            "FIRST_SWITCHED": int(self.start), "LAST_SWITCHED": int(self.end),
            "TCP_FLAGS": self.flags[0] | self.flags[1],
            "CLIENT_TCP_FLAGS": self.flags[0], "SERVER_TCP_FLAGS": self.flags[1],
            "RETRANSMITTED_IN_PKTS": self.again[0], "RETRANSMITTED_OUT_PKTS": self.again[1],
            "OOORDER_IN_PKTS": 0, "OOORDER_OUT_PKTS": 0,
            "CLIENT_NW_LATENCY_MS": half[0], "SERVER_NW_LATENCY_MS": half[1],
            "MIN_TTL": self.ttl[0], "MAX_TTL": self.ttl[1],
            "SRC_FRAGMENTS": self.fragments[0], "DST_FRAGMENTS": self.fragments[1],
            "ICMP_TYPE": p.icmp,
        }


def meter(path, idle):
    live, done, firsts, frames, lost = {}, [], {}, 0, 0
    for when, link, frame, _ in read_capture(path):
        frames += 1
        p = parse(frame, to_ip(link, frame))
        if p is None:
            lost += 1
            continue
        if p.later and p.id in firsts:
            p.protocol, p.sport, p.dport = firsts[p.id]
        elif p.fragment and not p.later:
            firsts[p.id] = (p.protocol, p.sport, p.dport)
        ends = sorted([(p.src, p.sport), (p.dst, p.dport)])
        name = (p.version, *ends, p.protocol)
        flow = live.get(name)
        if flow and (when - flow.end > idle or reused(flow, p)):
            done.append(live.pop(name))
            flow = None
        if flow is None:
            flow = live[name] = Flow(p, when)
        flow.add(p, when)
    return done + list(live.values()), frames, lost


def reused(flow, p):
    """tshark's rule for a new stream on the same ports: a SYN, without ACK, whose
    sequence number is not the one this end began with."""
    if p.protocol != 6 or p.later or p.flags & (SYN | ACK) != SYN:
        return False
    way = 0 if (p.src, p.sport) == flow.client else 1
    return flow.base[way] is not None and p.seq != flow.base[way]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-i")
    parser.add_argument("-3", dest="collect")
    parser.add_argument("-t", type=float, default=120)
    parser.add_argument("-d", type=float, default=30)
    parser.add_argument("-p")
    parser.add_argument("-T", default="")
    parser.add_argument("-n")
    parser.add_argument("-V", type=int, default=9)
    parser.add_argument("--json")
    parser.add_argument("--ledger")
    parser.add_argument("--ipfix-file")
    options = parser.parse_args()
    try:
        flows, frames, lost = meter(options.i, options.d)
    except (ValueError, OSError, struct.error, IndexError) as reason:
        print(f"standin: {options.i}: {reason}", file=sys.stderr)
        return 1
    records = [flow.record() for flow in flows]
    if options.json:
        names = [word.strip("%") for word in options.T.split()]
        for record in records:
            print(json.dumps({name: record[name] for name in names} if names else record))
    if options.n:
        host, port = options.n.rsplit("/", 1)[1].rsplit(":", 1)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for datagram in wire.export(records, options.V):
            sock.sendto(datagram, (host, int(port)))
            time.sleep(0.0005)
    if options.ipfix_file:
        with open(options.ipfix_file, "wb") as file:
            file.writelines(wire.export(records, 10))
    if options.ledger:
        seen = {"stage": "decode", "source": options.i, "unit": "packets", "received": frames,
                "delivered": frames - lost, "lost": {"not_ip": lost}, "held": 0}
        with open(options.ledger, "w") as file:
            json.dump({"version": 1, "time": 0, "final": True, "stages": [seen]}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
