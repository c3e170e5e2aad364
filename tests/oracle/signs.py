#!/usr/bin/env python3
"""Compares the signs of behaviour with a plain reckoning of the same captures.

    signs.py [--probe PATH] [--only GLOB] [--jobs 2]
    signs.py --show CAPTURE     both sides of every flow that differs

The packets are read by this file and by the stand-in of tests/conformance (pcap,
link and IP headers), none of which shares a line with the probe. For each flow,
with timeouts nothing reaches, it reckons every sign of docs/signs.md. A
difference is accepted only when differences.csv names it, with its cause.
"""

import argparse
import collections
import concurrent.futures
import csv
import fnmatch
import ipaddress
import math
import os
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import corpus
import probe
import standin

SYN, FIN, RST, ACK = 2, 1, 4, 16
LENGTHS = [64, 128, 256, 512, 1024]
GAPS = [1, 5, 10, 50, 100]  # ms
DOUBLES = [15, 31, 63, 127, 255, 511, 1023]  # bytes, or ms
IAT = [f"{way}_IAT_{what}" for way in ("SRC_TO_DST", "DST_TO_SRC") for what in ("MIN", "MAX", "AVG", "STDDEV")]
SIGNS = """SEQ_PLEN SEQ_TDIFF SEQ_PLEN_HASH SEQ_TDIFF_HASH SRC_TO_DST_SEQ_PLEN DST_TO_SRC_SEQ_PLEN
SRC_TO_DST_SEQ_TDIFF DST_TO_SRC_SEQ_TDIFF HANDSHAKE_SYN_PKTS HANDSHAKE_SYN_ACK_PKTS HANDSHAKE_ACK_PKTS
HANDSHAKE_RST_PKTS ENTROPY_CLIENT_BYTES ENTROPY_SERVER_BYTES FLOW_ENCRYPTED PPI_PKT_LENGTHS PPI_PKT_TIMES
PPI_PKT_FLAGS PPI_PKT_DIRECTIONS PKT_VECTOR S_PHISTS_SIZES S_PHISTS_IPT D_PHISTS_SIZES D_PHISTS_IPT
SRC_TO_DST_BURSTS SRC_TO_DST_BURST_PKTS SRC_TO_DST_BURST_BYTES DST_TO_SRC_BURSTS DST_TO_SRC_BURST_PKTS
DST_TO_SRC_BURST_BYTES""".split() + IAT
ELEMENTS = """IPV4_SRC_ADDR IPV4_DST_ADDR IPV6_SRC_ADDR IPV6_DST_ADDR L4_SRC_PORT L4_DST_PORT PROTOCOL
IP_PROTOCOL_VERSION IN_PKTS OUT_PKTS ICMP_TYPE""".split() + SIGNS
TABLE = HERE / "differences.csv"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", corpus.REPO / "target"))
PROGRAM = str(TARGET / "release/flowsonde")


def slot(edges, value):
    return sum(value > edge for edge in edges)


def payload(frame, at, p):
    """Length by the IP header, and what was captured of it."""
    if p.version == 4:
        header = (frame[at] & 15) * 4
        total = int.from_bytes(frame[at + 2 : at + 4], "big") or len(frame) - at
    else:
        header, kind, total = 40, frame[at + 6], p.bytes
        while kind in (0, 43, 44, 60) and at + header + 8 <= len(frame):
            size = 8 if kind == 44 else 8 + frame[at + header + 1] * 8
            last = kind == 44 and p.later
            kind = frame[at + header]
            header += size
            if last:
                break
    l4 = at + header
    if p.later:
        skip = 0
    elif p.protocol == 6:
        offset = (frame[l4 + 12] >> 4) * 4 if l4 + 20 <= len(frame) else 0
        skip = offset if offset >= 20 else 20
    else:
        skip = {17: 8, 136: 8, 132: 12, 33: 12, 1: 8, 58: 8}.get(p.protocol, 0)
    size = max(0, total - header - skip)
    return size, frame[l4 + skip : l4 + skip + size]


class Flow:
    def __init__(self):
        self.seen = 0
        self.lengths, self.gaps = [[0] * 6, [0] * 6], [[0] * 6, [0] * 6]
        self.last = None
        self.opener = None
        self.shakes = collections.Counter()
        self.latest, self.iat = [None, None], [[], []]
        self.counts = [collections.Counter(), collections.Counter()]
        self.packets = [0, 0]
        self.payloads = []  # time in nanoseconds, direction, length, TCP flags

    def add(self, p, way, when, size, data):
        self.packets[way] += 1
        if self.latest[way] is not None:
            self.iat[way].append(max(0, when - self.latest[way]) // 1000)
        self.latest[way] = max(when, self.latest[way] or 0)
        if size:
            self.payloads.append((when, way, size, p.flags & 255 if p.protocol == 6 and not p.later else 0))
        if p.protocol == 6 and self.handshake(p, way, size):
            return
        if self.seen == 256:
            return
        self.seen += 1
        if not size:
            return
        self.lengths[way][slot(LENGTHS, size)] += 1
        if self.last is not None:
            self.gaps[way][slot(GAPS, max(0, when - self.last) // 1000 / 1000)] += 1
        self.last = when
        self.counts[way].update(data)

    def handshake(self, p, way, size):
        if p.flags & SYN:
            self.shakes["SYN_ACK" if p.flags & ACK else "SYN"] += 1
            self.opener = way ^ bool(p.flags & ACK)
            return True
        if self.opener is None:
            return False
        third = not size and way == self.opener and p.flags & (ACK | FIN | RST) == ACK
        if p.flags & RST:
            self.shakes["RST"] += 1
        elif third or (size and way == self.opener and p.flags & ACK):
            self.shakes["ACK"] += 1
        if size or third or p.flags & RST:
            self.opener = None
        return third

    def signs(self, client):
        ways = ((client, "SRC_TO_DST"), (1 - client, "DST_TO_SRC"))
        found = {f"HANDSHAKE_{what}_PKTS": min(255, self.shakes[what]) for what in ("SYN", "SYN_ACK", "ACK", "RST")}
        for sign, bins in (("SEQ_PLEN", self.lengths), ("SEQ_TDIFF", self.gaps)):
            both = [min(255, a + b) for a, b in zip(*bins)]
            found[sign], found[f"{sign}_HASH"] = text(both), folded(both)
            for way, name in ways:
                found[f"{name}_{sign}"] = text(min(255, n) for n in bins[way])
        found |= self.entropy(client) | self.one_by_one(client)
        for (way, name), side in zip(ways, "SD"):
            found |= self.iats(way, name) | self.histograms(way, side) | self.bursts(way, name)
        return found

    def entropy(self, client):
        telling = [counts for counts in self.counts if counts.total() >= 64]
        found = {"FLOW_ENCRYPTED": int(bool(telling) and all(
            round(1000 * bits(counts)) / 1000 >= 7.312 - lack(counts.total()) for counts in telling))}
        for way, end in ((client, "CLIENT"), (1 - client, "SERVER")):
            found[f"ENTROPY_{end}_BYTES"] = round(1000 * bits(self.counts[way]))
        return found

    def iats(self, way, name):
        gaps = self.iat[way] or [0]
        mean = sum(gaps) / len(gaps)
        deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
        return {
            f"{name}_IAT_MIN": min(gaps) // 1000, f"{name}_IAT_MAX": max(gaps) // 1000,
            f"{name}_IAT_AVG": mean / 1000, f"{name}_IAT_STDDEV": deviation / 1000,
        }

    def one_by_one(self, client):
        """The first 30, as lists; and as many as fit into 94 characters."""
        first = self.payloads[:30]
        lengths = [min(65535, size) for _, _, size, _ in first]
        signs = [1 if way == client else -1 for _, way, _, _ in first]
        vector = ["%+d" % (length * sign) for length, sign in zip(lengths, signs)]
        while len(",".join(vector)) > 94:
            vector.pop()
        return {
            "PPI_PKT_LENGTHS": lengths, "PPI_PKT_DIRECTIONS": signs, "PKT_VECTOR": ",".join(vector),
            "PPI_PKT_TIMES": [when // 1_000_000 for when, _, _, _ in first],
            "PPI_PKT_FLAGS": [flags for _, _, _, flags in first],
        }

    def histograms(self, way, side):
        sizes, gaps, before = [0] * 8, [0] * 8, None
        for when, _, size, _ in (one for one in self.payloads if one[1] == way):
            sizes[slot(DOUBLES, size)] += 1
            millis = when // 1_000_000
            if before is not None:
                gaps[slot(DOUBLES, max(0, millis - before))] += 1
            before = millis
        return {f"{side}_PHISTS_SIZES": sizes, f"{side}_PHISTS_IPT": gaps}

    def bursts(self, way, name):
        """Runs less than a second apart, those kept that are three or longer."""
        runs, before = [], None
        for when, _, size, _ in (one for one in self.payloads if one[1] == way):
            if before is None or when - before >= 1_000_000_000:
                runs.append([])
            runs[-1].append(size)
            before = when
        runs = [run for run in runs if len(run) >= 3]
        return {
            f"{name}_BURSTS": len(runs), f"{name}_BURST_PKTS": sum(map(len, runs)),
            f"{name}_BURST_BYTES": sum(map(sum, runs)),
        }


def text(numbers):
    return ",".join(map(str, numbers))


def folded(numbers):
    """FNV-1a, its four bytes xored; 0 of nothing."""
    hash = 0x811C9DC5
    for number in numbers:
        hash = (hash ^ number) * 0x01000193 & 0xFFFFFFFF
    return hash >> 24 ^ hash >> 16 & 255 ^ hash >> 8 & 255 ^ hash & 255 if any(numbers) else 0


def lack(n):
    return min(183.94 / n, 8 - math.log2(n) + (n - 1) / 256)


def bits(counts):
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


ANSWERS = {4: {0: 8, 14: 13, 16: 15, 18: 17, 9: 10}, 6: {129: 128, 136: 135, 134: 133}}


def name_of(p):
    src, dst = ipaddress.ip_address(p.src), ipaddress.ip_address(p.dst)
    if p.protocol in (1, 58) and not p.later:
        kind = p.icmp >> 8
        kind = ANSWERS[p.version].get(kind, kind) * 256 + (p.icmp & 255)
    else:
        kind = 0
    ends = [(str(src), p.sport), (str(dst), p.dport)]
    way = 0 if ends == sorted(ends) else 1
    return (p.protocol, *sorted(ends), kind), way


def reckon(path):
    """{5-tuple: flow}. A tuple that has two connections has two records, and is not compared."""
    flows, firsts = {}, {}
    for when, link, frame, _ in standin.read_nanos(path):
        at = standin.to_ip(link, frame)
        p = standin.parse(frame, at)
        if p is None:
            continue
        if p.later and p.id in firsts:
            p.protocol, p.sport, p.dport, p.icmp = firsts[p.id]
        elif p.fragment and not p.later:
            firsts[p.id] = (p.protocol, p.sport, p.dport, p.icmp)
        name, way = name_of(p)
        flow = flows.setdefault(name, Flow())
        flow.add(p, way, when, *payload(frame, at, p))
    return flows


def examine(program, root, path):
    """What differs, and how many flows were compared."""
    try:
        flows = reckon(path)
    except (ValueError, struct.error, IndexError, EOFError) as reason:
        return [], 0, f"not read here: {type(reason).__name__} {reason}"
    found = collections.defaultdict(list)
    for record in probe.records(program, path, probe.WHOLE, ELEMENTS):
        version = record["IP_PROTOCOL_VERSION"]
        ends = [(record[f"IPV{version}_{side}_ADDR"], record[f"L4_{side}_PORT"]) for side in ("SRC", "DST")]
        protocol = record["PROTOCOL"]
        kind = record["ICMP_TYPE"] if protocol in (1, 58) else 0
        if protocol in (1, 58):
            ends = [(address, 0) for address, _ in ends]
            kind = ANSWERS[version].get(kind >> 8, kind >> 8) * 256 + (kind & 255)
        way = 0 if ends == sorted(ends) else 1
        found[(protocol, *sorted(ends), kind)].append((record, way))
    differences, compared = [], 0
    for name, flow in flows.items():
        records = found.pop(name, [])
        if len(records) != 1:
            differences.append((name, "records", len(records), 1))
            continue
        record, client = records[0]
        if [record["IN_PKTS"], record["OUT_PKTS"]] != [flow.packets[client], flow.packets[1 - client]]:
            differences.append((name, "packets", (record["IN_PKTS"], record["OUT_PKTS"]), flow.packets))
            continue
        compared += 1
        for sign, expected in flow.signs(client).items():
            if not same(sign, record[sign], expected):
                differences.append((name, sign, record[sign], expected))
    for name in found:
        differences.append((name, "records", len(found[name]), 0))
    return differences, compared, None


def same(sign, value, expected):
    """Means may be a float's breadth on either side of a half."""
    return abs(value - expected) <= 0.5 + 1e-6 if sign.endswith(("AVG", "STDDEV")) else value == expected


def summary_of(differences):
    """One row a kind: what differs and how often."""
    return {f"{kind} {count}" for kind, count in collections.Counter(d[1] for d in differences).items()}


def accepted():
    table = collections.defaultdict(dict)
    if TABLE.exists():
        with open(TABLE, newline="") as file:
            for row in csv.DictReader(file):
                if not row["cause"].strip():
                    sys.exit(f"signs: no cause for {row['capture']}, {row['what']}")
                table[row["capture"]][row["what"]] = row["cause"]
    return table


def main():
    parser = argparse.ArgumentParser(description="the signs of behaviour against a plain reckoning")
    parser.add_argument("--probe", default=PROGRAM)
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", metavar="CAPTURE")
    parser.add_argument("--suggest", action="store_true")
    options = parser.parse_args()
    root = corpus.folder()
    if options.show:
        path = next(p for p in (pathlib.Path(options.show), root / options.show) if p.is_file())
        for difference in examine(options.probe, root, path)[0]:
            print(*difference)
        return 0
    table = accepted()
    paths = [p for p in corpus.captures(root) if fnmatch.fnmatch(str(p.relative_to(root)), options.only)]
    flows = failed = skipped = rows = 0
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        jobs = [(str(p.relative_to(root)), pool.submit(examine, options.probe, root, p)) for p in paths]
        for name, job in jobs:
            try:
                differences, compared, skip = job.result()
            except Exception as reason:  # noqa: BLE001 - told, and the run goes on
                differences, compared, skip = [("", f"{type(reason).__name__} {reason}", "", "")], 0, None
            flows += compared
            if skip:
                skipped += 1
                print(f"SKIP {name}: {skip}")
            known = table.pop(name, {})
            what = summary_of(differences)
            rows += len(what & set(known))
            new, stale = what - set(known), set(known) - what
            if new or (stale and options.only == "*"):
                failed += 1
                print(f"FAIL {name}: {'; '.join(sorted(new))}" + "".join(f"; no longer {s}" for s in stale))
            if options.suggest:
                for one in sorted(new):
                    print(f"{name},{one},")
    if options.only == "*":
        failed += len(table)
        for name in table:
            print(f"STALE {name}")
    print(f"signs: {len(paths)} captures, {flows} flows compared, {rows} accepted differences, "
          f"{failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
