#!/usr/bin/env python3
"""Compares the probe with tshark over every capture of the corpus.

    run.py [--probe PATH] [--only GLOB] [--full] [--jobs 2]
    run.py --trace CAPTURE      where one capture differs, with frame numbers
    run.py --suggest            prints rows for differences.csv, without a cause

Each capture under packets/ is read by tshark (see oracle.py) and by the probe,
once with timeouts nothing reaches and VLAN out of the key, once with default
settings. The checks are in compare.py. A difference is accepted only when
differences.csv names it exactly, with its traced cause; a row there that no
longer occurs fails too. Files under malformed/ only have to end properly.
"""

import argparse
import collections
import concurrent.futures
import csv
import fnmatch
import json
import os
import pathlib
import sys
import tempfile
import time

import compare
import corpus
import oracle
import probe

TABLE = pathlib.Path(__file__).with_name("differences.csv")
MALFORMED_SECONDS = 20
MALFORMED_MEMORY = 8 << 30  # address space; a length field must not ask for more


class Outcome:
    """What one file came to."""

    def __init__(self, name, skipped=None):
        self.name = name
        self.skipped = skipped
        self.differences = []
        self.accepted = []
        self.seen = set()
        self.hints = []
        self.tally = collections.Counter()
        self.seconds = 0.0

    @property
    def failed(self):
        return bool(self.differences)


def accepted_differences():
    """{capture: {what: cause}}; a row without a cause is refused."""
    table = {}
    with open(TABLE, newline="") as file:
        for row in csv.DictReader(file):
            if not (row["cause"] or "").strip():
                sys.exit(f"conformance: {TABLE.name}: no cause for {row['capture']}, {row['what']}")
            table.setdefault(row["capture"], {})[row["what"]] = row["cause"]
    return table


def examine(program, root, capture, accepted):
    """All checks of one capture."""
    name = str(capture.relative_to(root))
    started = time.monotonic()
    answer = oracle.consult(capture)
    if "unreadable" in answer:
        outcome = Outcome(name, skipped=answer["unreadable"])
        run = probe.Run([program, "-i", str(capture), "--json", "-"], 60)
        trouble = run.trouble(codes=(0, 1))
        if trouble:
            outcome.differences.append(compare.Difference("probe", trouble, []))
        return outcome
    outcome = Outcome(name)
    try:
        found = checks(program, capture, answer, outcome.tally)
    except (probe.Failed, KeyError, TypeError, ValueError) as reason:
        found = [compare.Difference("probe", f"{type(reason).__name__} {reason}", [])]
    for difference in found:
        outcome.seen.add(difference.what)
        known = accepted.get(name, {}).get(difference.what)
        (outcome.accepted if known else outcome.differences).append(difference)
    outcome.hints = [f"{n} packets behind {stack}" for stack, n in oracle.unusual(answer).items()]
    for word in ("orphans", "early", "no_ip_header"):
        if answer["count"][word]:
            outcome.hints.append(f"{answer['count'][word]} {word}")
    if answer["cut"]:
        outcome.hints.append(answer["cut"])
    outcome.tally["packets"] += answer["count"]["ip"]
    outcome.seconds = time.monotonic() - started
    return outcome


def checks(program, capture, answer, tally):
    expected = compare.flows_of(answer)
    whole = probe.gather(probe.records(program, capture, probe.WHOLE))
    found = compare.every(whole, expected, answer, tally)
    tally["tuples"] += len(expected)
    tally["streams"] += len(answer["streams"])
    with tempfile.TemporaryDirectory() as scratch:
        ledger = os.path.join(scratch, "ledger.json")
        split = probe.gather(probe.records(program, capture, ["--ledger", ledger]))
        found.append(compare.volume("default-timeouts", split, expected))
        found.append(compare.totals("default-totals", split, expected))
        found.append(ledger_check(ledger, answer["count"]["frames"]))
    return [difference for difference in found if difference]


def ledger_check(path, frames):
    """Every stage balances, nothing is held at the end, every frame came in."""
    try:
        text = pathlib.Path(path).read_text()
    except OSError:
        return compare.Difference("ledger", "not written", [])
    try:
        book = json.loads(text.strip().splitlines()[-1])
    except ValueError:
        book = json.loads(text)
    lines = []
    for stage in book["stages"]:
        out = stage["delivered"] + sum(stage["lost"].values()) + stage["held"]
        if stage["received"] != out:
            lines.append(f"{stage['stage']}: received {stage['received']}, accounts for {out}")
        if book.get("final") and stage["held"]:
            lines.append(f"{stage['stage']}: holds {stage['held']} at the end")
    if not book.get("final"):
        lines.append("the last entry is not final")
    counted = [s for s in book["stages"] if s["unit"] == "packets"]
    # A record cut off by the end of the capture came in, and is lost by name; tshark does not count it.
    cut = counted[0]["lost"].get("unreadable", 0) if counted else 0
    if not counted or counted[0]["received"] - cut != frames:
        lines.append(f"first stage received {counted and counted[0]['received']}, tshark read {frames}")
    return compare.Difference("ledger", "; ".join(lines), lines) if lines else None


def endure(program, root, path):
    """A malformed file: the probe ends by itself, in time, without a crash."""
    outcome = Outcome(str(path.relative_to(root)))
    command = [program, "-i", str(path), "--json", "-"]
    trouble = probe.Run(command, MALFORMED_SECONDS, MALFORMED_MEMORY).trouble(codes=(0, 1))
    if trouble:
        outcome.differences.append(compare.Difference("malformed", trouble, []))
    return outcome


def trace(program, root, capture):
    """The differences of one capture, each 5-tuple with the frames tshark has."""
    path = pathlib.Path(capture)
    if not path.is_file():
        path = next((p for p in (root / capture, root / "packets" / capture) if p.is_file()), path)
    answer = oracle.consult(path, frames=True)
    if "unreadable" in answer:
        sys.exit(f"conformance: tshark cannot read {capture}: {answer['unreadable']}")
    expected = compare.flows_of(answer)
    mine = probe.gather(probe.records(program, path, probe.WHOLE))
    print(f"tshark: {answer['count']}; packets by layers below IP: {answer['layers']}")
    for difference in compare.every(mine, expected, answer, collections.Counter()):
        print(f"\n{difference.what}")
        for line in difference.lines:
            print("  " + line)
    print()
    for tuple5 in sorted(set(mine) | set(expected)):
        one = mine.get(tuple5)
        two = expected.get(tuple5)
        only = compare.every(
            {tuple5: one} if one else {}, {tuple5: two} if two else {}, answer, collections.Counter()
        )
        if not only:
            continue
        print(f"{compare.name(tuple5)}   ({', '.join(d.what.split(':')[0] for d in only)})")
        if one:
            for record in one.records:
                print("  probe   " + " ".join(f"{k}={v}" for k, v in record.items()
                      if v not in (0, "0.0.0.0", "::", "")))
        else:
            print("  probe   has no such flow")
        if not two:
            print("  tshark  has no such flow")
            continue
        rows = [f"{n}{'><'[way]}{size}" for n, way, size in two["frames"]]
        print(f"  tshark  {len(rows)} frames (number, direction, bytes): {' '.join(rows[:200])}")
        for number in two["streams"]:
            stream = answer["streams"][str(number)]
            print(f"  stream {number}: {stream['packets']} packets, handshake "
                  f"{'><'[stream['handshake']] if stream['handshake'] is not None else 'no'}, "
                  f"rtt {stream['rtt']}, retransmitted {stream['retransmissions']}, "
                  f"out of order {stream['out_of_order']}")
            for frame, way, kind in stream["frames"][:50]:
                print(f"    frame {frame} {'><'[way]} {kind}")


def arguments():
    parser = argparse.ArgumentParser(description="conformance with tshark over the corpus")
    parser.add_argument("--probe", default=str(corpus.REPO / "target/release/flowsonde"))
    parser.add_argument("--full", action="store_true", help="also repeat runs: the same output twice")
    parser.add_argument("--only", default="*", metavar="GLOB", help="names below the corpus")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trace", metavar="CAPTURE")
    parser.add_argument("--suggest", action="store_true")
    parser.add_argument("--no-malformed", action="store_true")
    return parser.parse_args()


def repeat(program, root, capture):
    """The same capture twice gives the same bytes."""
    outcome = Outcome(str(capture.relative_to(root)) + " (again)")
    command = [program, "-i", str(capture), "-T", "%" + " %".join(probe.ELEMENTS), "--json", "-"]
    one, two = (probe.Run(command, 120) for _ in "ab")
    if (one.code, one.stdout) != (two.code, two.stdout):
        outcome.differences.append(compare.Difference("repeat", "another output", []))
    return outcome


def main():
    options = arguments()
    root = corpus.folder()
    program = options.probe if os.sep in options.probe else "./" + options.probe
    if not os.access(program, os.X_OK):
        sys.exit(f"conformance: no probe at {options.probe}: build it, or name it with --probe")
    if options.trace:
        return trace(program, root, options.trace)

    accepted = accepted_differences()
    wanted = lambda path: fnmatch.fnmatch(str(path.relative_to(root)), options.only)
    captures = [path for path in corpus.captures(root) if wanted(path)]
    work = [(lambda p=path: examine(program, root, p, accepted)) for path in captures]
    if not options.no_malformed:
        files = sorted(p for p in (root / "malformed").rglob("*") if p.is_file() and wanted(p))
        work += [(lambda p=path: endure(program, root, p)) for path in files]
    if options.full:
        work += [(lambda p=path: repeat(program, root, p)) for path in captures]

    started = time.monotonic()
    outcomes, tally = [], collections.Counter()
    print(f"{len(captures)} captures, {len(work)} runs, {oracle.tshark_version()}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for number, outcome in enumerate(pool.map(lambda job: job(), work), 1):
            outcomes.append(outcome)
            tally.update(outcome.tally)
            report(outcome)
            if number % 200 == 0:
                print(f"... {number}/{len(work)} after {time.monotonic() - started:.0f} s", flush=True)

    stale = [
        (name, what)
        for name, rows in accepted.items()
        for what in rows
        if any(o.name == name and what not in o.seen for o in outcomes)
    ]
    if options.only == "*":
        names = {o.name for o in outcomes}
        stale += [(n, w) for n, rows in accepted.items() if n not in names for w in rows]
    for name, what in stale:
        print(f"STALE {name}: {TABLE.name} lists '{what}', which no longer occurs")
    if options.suggest:
        suggest(outcomes)
    summary(outcomes, tally, stale)
    return 1 if stale or any(o.failed for o in outcomes) else 0


def report(outcome):
    if outcome.failed:
        hints = f"   [{'; '.join(outcome.hints)}]" if outcome.hints else ""
        print(f"FAIL {outcome.name}{hints}")
        for difference in outcome.differences:
            print(f"  {difference.what}")
            for line in difference.lines[: compare.SHOWN]:
                print(f"    {line}")
            if len(difference.lines) > compare.SHOWN:
                print(f"    ... and {len(difference.lines) - compare.SHOWN} more")
    elif outcome.skipped:
        print(f"SKIP {outcome.name}: {outcome.skipped}")
    sys.stdout.flush()


def suggest(outcomes):
    print("\nrows for differences.csv (find the cause of each first):")
    out = csv.writer(sys.stdout, lineterminator="\n")
    for outcome in outcomes:
        for difference in outcome.differences:
            if outcome.name.startswith("packets/"):
                out.writerow([outcome.name, difference.what, ""])


def summary(outcomes, tally, stale):
    kinds = collections.Counter()
    for outcome in outcomes:
        kinds.update({d.what.split(":")[0] for d in outcome.differences})
    if tally:
        print(
            f"compared {tally['packets']} packets, {tally['tuples']} 5-tuples, {tally['streams']} "
            f"TCP streams; {tally['handshakes']} 5-tuples with handshake: retransmitted "
            f"{tally['probe retransmissions']} (tshark {tally['tshark retransmissions']}), out of "
            f"order {tally['probe out of order']} ({tally['tshark out of order']}), another "
            f"border in {tally['border']}; {tally['latencies']} handshake times"
        )
    if kinds:
        print("failures by check: " + ", ".join(f"{k} {n}" for k, n in kinds.most_common()))
    rows = sum(len(o.accepted) for o in outcomes)
    print(f"{rows} accepted differences, {len(stale)} stale")
    failed = sum(o.failed for o in outcomes)
    skipped = sum(bool(o.skipped) and not o.failed for o in outcomes)
    print(f"{len(outcomes) - failed - skipped} passed, {failed + len(stale)} failed, {skipped} skipped")


if __name__ == "__main__":
    sys.exit(main())
