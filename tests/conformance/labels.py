#!/usr/bin/env python3
"""Compares the applications the probe finds with those of ndpiReader, both by the same installed libndpi.

    labels.py [--probe PATH] [--only GLOB] [--jobs 2]
    labels.py --suggest         prints rows for differences-labels.csv, without a cause

Each capture under packets/ is read by both, once, with timeouts nothing reaches.
Every 5-tuple has to have the same names of applications. A difference is accepted
only when differences-labels.csv names it, with its traced cause; a row there that
no longer occurs fails too, and so do more than 3 % of captures that differ.
"""

import argparse
import concurrent.futures
import csv
import fnmatch
import gzip
import ipaddress
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import corpus

TABLE = pathlib.Path(__file__).with_name("differences-labels.csv")
LONG = ["-t", "86400000", "-d", "86400000", "--tcp-linger", "86400000", "-M", "1000000"]
FIELDS = ("%IPV4_SRC_ADDR %IPV4_DST_ADDR %IPV6_SRC_ADDR %IPV6_DST_ADDR %IP_PROTOCOL_VERSION %PROTOCOL %L4_SRC_PORT "
          "%L4_DST_PORT %L7_PROTO_NAME")
MOST = 0.03
PORTS = (6, 17)


class Unreadable(Exception):
    """A capture ndpiReader does not read."""


def written(text):
    """An address as ndpiReader writes it: of IPv6 every `:0:` is `::`, so that two addresses may look the same."""
    return str(ipaddress.ip_address(text)).replace(":0:", "::")


def key(protocol, ends):
    """A 5-tuple, the same for both directions. Only TCP and UDP have ports here."""
    return protocol, tuple(sorted((address, int(port) if protocol in PORTS else 0) for address, port in ends))


def shown(tuple_):
    protocol, ends = tuple_
    return f"{protocol} " + " ".join(f"{address}:{port}" for address, port in ends)


def version():
    """That of ndpiReader, and so of the library installed."""
    said = subprocess.run(["ndpiReader", "-h"], capture_output=True, text=True, check=False).stdout
    return said.split("Welcome to nDPI ", 1)[-1].split()[0]


def by_reader(capture):
    """{5-tuple: names} by ndpiReader."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "flows.csv")
        if capture.suffix == ".gz":
            plain = pathlib.Path(scratch, "capture")
            plain.write_bytes(gzip.decompress(capture.read_bytes()))
            capture = plain
        ran = subprocess.run(["ndpiReader", "-q", "-i", str(capture), "-C", path], capture_output=True, text=True,
                             errors="replace", check=False, timeout=600)
        if ran.returncode != 0 or not os.path.exists(path):
            raise Unreadable((ran.stdout + ran.stderr).strip().splitlines()[-1:] or ["failed"])
        labels = {}
        with open(path, newline="", errors="replace") as file:
            for row in csv.DictReader((line.replace("\0", "") for line in file)):
                ends = [(row["src_ip"], row["src_port"]), (row["dst_ip"], row["dst_port"])]
                labels.setdefault(key(int(row["protocol"]), ends), set()).add(row["ndpi_proto"])
        return labels


def by_probe(program, capture):
    """{5-tuple: names} by the probe."""
    ran = subprocess.run([program, "-i", str(capture), *LONG, "-T", FIELDS, "--json", "-"], capture_output=True,
                         text=True, check=False, timeout=600)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip()[:200])
    labels = {}
    for line in ran.stdout.splitlines():
        flow = json.loads(line)
        version = "IPV6" if flow["IP_PROTOCOL_VERSION"] == 6 else "IPV4"
        ends = [(written(flow[f"{version}_{end}_ADDR"]), flow[f"L4_{end}_PORT"]) for end in ("SRC", "DST")]
        labels.setdefault(key(flow["PROTOCOL"], ends), set()).add(flow["L7_PROTO_NAME"])
    return labels


def examine(program, root, capture):
    """(name, tuples compared, differences or why there are none)."""
    name = str(capture.relative_to(root))
    try:
        reader = by_reader(capture)
    except (Unreadable, subprocess.TimeoutExpired) as reason:
        return name, 0, f"ndpiReader: {reason}"
    try:
        probe = by_probe(program, capture)
    except (RuntimeError, subprocess.TimeoutExpired) as reason:
        return name, 0, f"probe: {reason}"
    found = []
    for tuple_ in sorted(reader.keys() | probe.keys()):
        # ndpiReader lists no flows that it does not know.
        theirs, ours = (labels.get(tuple_, set()) - {"Unknown"} for labels in (reader, probe))
        if theirs != ours:
            told = ["+".join(sorted(names)) if names else "nothing" for names in (theirs, ours)]
            found.append(f"{shown(tuple_)}: ndpiReader {told[0]}, probe {told[1]}")
    return name, len(reader.keys() | probe.keys()), found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", default=os.environ.get("PROBE", "target/release/flowsonde"))
    parser.add_argument("--only")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--suggest", action="store_true")
    asked = parser.parse_args()
    root = corpus.folder()
    captures = [path for path in corpus.captures(root) if not asked.only or fnmatch.fnmatch(str(path), f"*{asked.only}*")]
    accepted = {}
    if TABLE.exists():
        with open(TABLE, newline="") as file:
            for row in csv.DictReader(file):
                accepted.setdefault(row["capture"], {})[row["what"]] = row["cause"]
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda capture: examine(asked.probe, root, capture), captures))
    tuples = failed = differ = skipped = read = 0
    rows = csv.writer(sys.stdout)
    for name, count, found in results:
        tuples += count
        if isinstance(found, str):
            skipped += 1
            print(f"skipped {name}: {found}"[:200], file=sys.stderr)
            continue
        read += 1
        differ += bool(found)
        known = accepted.pop(name, {})
        for what in found:
            if not known.pop(what, "").strip():
                failed += 1
                if asked.suggest:
                    rows.writerow([name, what, ""])
                else:
                    print(f"FAILED {name}: {what}")
        for what in known:
            failed += 1
            print(f"FAILED {name}: {TABLE.name} has what no longer occurs: {what}")
    if differ > MOST * read:
        failed += 1
        print(f"FAILED: {differ} of {read} captures differ, more than {MOST:.0%}")
    print(f"labels: {read} captures, {tuples} 5-tuples, {differ} captures differ, {skipped} skipped, {failed} failed",
          file=sys.stderr)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
