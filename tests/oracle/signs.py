#!/usr/bin/env python3
"""Compares the signs of behaviour with a plain reckoning of the same captures.

    signs.py [--probe PATH] [--only GLOB] [--jobs 2]
    signs.py --show CAPTURE     both sides of every flow that differs

The packets are read by this file and by the stand-in of tests/conformance (pcap,
link and IP headers), none of which shares a line with the probe. For each flow,
with timeouts nothing reaches, it reckons the bins of docs/signs.md, the gaps per
direction and the entropy. A difference is accepted only when differences.csv
names it, with its cause.
"""

import argparse
import collections
import concurrent.futures
import csv
import fnmatch
import ipaddress
import math
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
IAT = [f"{way}_IAT_{what}" for way in ("SRC_TO_DST", "DST_TO_SRC") for what in ("MIN", "MAX", "AVG", "STDDEV")]
SIGNS = ["SEQ_PLEN", "SEQ_TDIFF", "ENTROPY_CLIENT_BYTES", "ENTROPY_SERVER_BYTES", *IAT]
ELEMENTS = """IPV4_SRC_ADDR IPV4_DST_ADDR IPV6_SRC_ADDR IPV6_DST_ADDR L4_SRC_PORT L4_DST_PORT PROTOCOL
IP_PROTOCOL_VERSION IN_PKTS OUT_PKTS ICMP_TYPE""".split() + SIGNS
TABLE = HERE / "differences.csv"


def slot(edges, value):
    return sum(value > edge for edge in edges)


def times(path):
    """The packets of a capture; times as whole nanoseconds."""
    for when, link, frame, length in standin.read_capture(path):
        yield round(when * 1e6) * 1000, link, frame, length


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
        self.lengths, self.gaps = [0] * 6, [0] * 6
        self.last = None
        self.opener = None
        self.latest, self.iat = [None, None], [[], []]
        self.counts = [collections.Counter(), collections.Counter()]
        self.packets = [0, 0]

    def add(self, p, way, when, size, data):
        self.packets[way] += 1
        if self.latest[way] is not None:
            self.iat[way].append(max(0, when - self.latest[way]) // 1000)
        self.latest[way] = max(when, self.latest[way] or 0)
        if p.protocol == 6 and self.handshake(p, way, size):
            return
        if self.seen == 256:
            return
        self.seen += 1
        if not size:
            return
        self.lengths[slot(LENGTHS, size)] += 1
        if self.last is not None:
            self.gaps[slot(GAPS, max(0, when - self.last) // 1000 / 1000)] += 1
        self.last = when
        self.counts[way].update(data)

    def handshake(self, p, way, size):
        if p.flags & SYN:
            self.opener = way ^ bool(p.flags & ACK)
            return True
        if self.opener is None:
            return False
        third = not size and way == self.opener and p.flags & (ACK | FIN | RST) == ACK
        if size or third or p.flags & RST:
            self.opener = None
        return third

    def signs(self, client):
        entropy = [round(1000 * bits(self.counts[way])) for way in (client, 1 - client)]
        found = {
            "SEQ_PLEN": ",".join(str(min(255, n)) for n in self.lengths),
            "SEQ_TDIFF": ",".join(str(min(255, n)) for n in self.gaps),
            "ENTROPY_CLIENT_BYTES": entropy[0], "ENTROPY_SERVER_BYTES": entropy[1],
        }
        for way, name in ((client, "SRC_TO_DST"), (1 - client, "DST_TO_SRC")):
            gaps = self.iat[way] or [0]
            mean = sum(gaps) / len(gaps)
            deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
            for what, value in (("MIN", min(gaps) // 1000), ("MAX", max(gaps) // 1000),
                                ("AVG", mean / 1000), ("STDDEV", deviation / 1000)):
                found[f"{name}_IAT_{what}"] = value
        return found


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
    for when, link, frame, _ in times(path):
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
    parser.add_argument("--probe", default=str(corpus.REPO / "target/release/flowsonde"))
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
