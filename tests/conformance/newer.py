#!/usr/bin/env python3
"""Lists where the probe's applications differ from those that a newer nDPI finds: the corpus has
what ndpiReader of a development version of 4.11 said of nDPI's own captures.

    newer.py [--probe PATH]     writes newer.md, flows by cause

Nothing fails here: the library is another one. What a difference comes from is told by the two
names alone, by the rules in `cause`.
"""

import argparse
import collections
import os
import pathlib
import re
import subprocess

import corpus
import labels

FLOW = re.compile(r"^\t\d+\t(\S+) (\S+?) <?->? (\S+?) (?:\[VLAN: \d+\])?\[proto: [\d.]+/([^\]]+)\]")
PROTOCOLS = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPV6": 58, "IGMP": 2, "SCTP": 132, "GRE": 47, "ESP": 50, "AH": 51}
PAGE = pathlib.Path(__file__).with_name("newer.md")


def end(text):
    """(address as labels.py has it, port) of `1.2.3.4:5` or `[::1]:5`."""
    address, port = text.rsplit(":", 1)
    return labels.written(address.strip("[]")), port


def by_newer(path):
    """{5-tuple: names}; a flow in a tunnel has its tunnel's name before its own."""
    found = {}
    for line in path.read_text(errors="replace").splitlines():
        flow = FLOW.match(line)
        if not flow or flow[1] not in PROTOCOLS:
            continue
        try:
            ends = [end(flow[2]), end(flow[3])]
        except ValueError:
            continue
        found.setdefault(labels.key(PROTOCOLS[flow[1]], ends), set()).add(flow[4])
    return found


def known():
    """Names of the nDPI installed."""
    said = subprocess.run(["ndpiReader", "-h"], capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in said.split("nDPI supported protocols:", 1)[-1].splitlines())
    return {row[1] for row in rows if len(row) > 2 and row[0].isdigit()}


def cause(old, new, names):
    """What two different names of one flow come from."""
    old_parts, new_parts = set(old.split(".")), set(new.split("."))
    if ":" in new or not new_parts - {"Unknown"} and old != "Unknown":
        return "the newer one looks into the tunnel" if ":" in new else "the newer one guesses less"
    if new_parts - names:
        return "a protocol or name that 4.2 does not have"
    if old == "Unknown":
        return "a protocol that 4.2 has, seen in more packets by the newer one"
    if old_parts & new_parts:
        return "the same carrier, another or no finer name"
    return "another verdict"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", default=os.environ.get("PROBE", "target/release/flowsonde"))
    asked = parser.parse_args()
    folder, names = corpus.folder() / "packets" / "ndpi", known()
    tuples, equal, causes, examples = 0, 0, collections.Counter(), collections.defaultdict(collections.Counter)
    for expected in sorted(folder.glob("*.out")):
        capture = expected.with_suffix("")
        if not corpus.is_capture(capture):
            continue
        newer, ours = by_newer(expected), labels.by_probe(asked.probe, capture)
        for tuple_ in newer.keys() & ours.keys():
            tuples += 1
            if newer[tuple_] == ours[tuple_]:
                equal += 1
                continue
            old, new = "+".join(sorted(ours[tuple_])), "+".join(sorted(newer[tuple_]))
            why = cause(old, new, names)
            causes[why] += 1
            examples[why][old, new] += 1
    lines = ["# Beside a newer nDPI", "",
             f"Made by `newer.py`: 5-tuples of nDPI's captures that both have, {tuples}; {equal} have the same names from libndpi "
             f"{labels.version()} and from ndpiReader of 4.11-dev (October 2024). The others, by cause; names as old -> new:", "",
             "| 5-tuples | cause | the most frequent |", "| --- | --- | --- |"]
    for why, count in causes.most_common():
        most = ", ".join(f"{old} -> {new} ({n})" for (old, new), n in examples[why].most_common(8))
        lines.append(f"| {count} | {why} | {most} |")
    PAGE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
