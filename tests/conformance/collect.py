#!/usr/bin/env python3
"""Compares what the collector prints with what others say of the same datagrams.

    collect.py [--probe PATH] [--only GLOB] [--jobs 2]
    collect.py --trace CASE     every difference of one case, with each record
    collect.py --suggest        prints rows for differences-collector.csv, without a cause
    collect.py --list           the cases, their files in order, and who says something of them

A case (collecting/cases.py) is one run over one or several files of netflow/ or
sflow/. What it should print comes from the expectations that lie beside the files,
and from tshark, the PyPI package `netflow` and nfcapd, run live. The records are
compared with counters as they came (`--sample-rate 1:1`), and a second time for the
rates; then merged (`--enable-collection-cache`), whose sums must be those of the
records. A difference is accepted only when differences-collector.csv names it
exactly, with its cause in the standard; a row there that no longer occurs fails.
Some cases are exported again, and what arrives is compared with the JSON (again.py);
of some what ntopng is told besides flows is compared with tshark's reading (asides.py).
"""

import argparse
import concurrent.futures
import csv
import fnmatch
import importlib.util
import json
import pathlib
import sys

import compare
import corpus
import probe
from collecting import again, asides, cached, cases, match, nfcapd, python_netflow, rates, wireshark

TABLE = pathlib.Path(__file__).with_name("differences-collector.csv")
AS_THEY_CAME = ["--sample-rate", "1:1"]
SHOWN = 4


class Outcome:
    def __init__(self, case):
        self.case, self.name = case, case.name
        self.differences, self.accepted, self.seen, self.sources = [], [], set(), []
        self.records = 0


def accepted_differences():
    """{case: {what: cause}}; a row without a cause is refused."""
    table = {}
    with open(TABLE, newline="") as file:
        for row in csv.DictReader(file):
            if not (row["cause"] or "").strip():
                sys.exit(f"conformance: {TABLE.name}: no cause for {row['case']}, {row['what']}")
            table.setdefault(row["case"], {})[row["what"]] = row["cause"]
    return table


def collected(program, files, options=()):
    """The collector's records by element."""
    joined = ",".join(str(path) for path in files)
    run = probe.Run([program, "-3", "any", "-i", joined, "--collector-passthrough",
                     *options, "--json", "-"], 120)
    trouble = run.trouble()
    if trouble:
        raise probe.Failed(trouble)
    found = []
    for line in run.stdout.splitlines():
        try:
            found.append(match.keyed(json.loads(line)))
        except (ValueError, AttributeError):
            raise probe.Failed(f"not a JSON object: {line[:80]!r}") from None
    return found


def examine(program, case, accepted, known_rates):
    outcome = Outcome(case)
    try:
        found = checks(program, case, outcome, known_rates)
    except (probe.Failed, OSError, KeyError, TypeError, ValueError) as reason:
        found = [compare.Difference("collector", f"{type(reason).__name__} {reason}", [])]
    for difference in found:
        outcome.seen.add(difference.what)
        known = accepted.get(case.name, {}).get(difference.what)
        (outcome.accepted if known else outcome.differences).append(difference)
    return outcome


def checks(program, case, outcome, known_rates):
    plain = collected(program, case.files, AS_THEY_CAME)
    scaled = collected(program, case.files)
    outcome.records = len(plain)
    found = []
    seen = wireshark.read(case.files)
    for expected in [*case.expectations(), seen, python_netflow.read(case.files)]:
        if expected is not None:
            outcome.sources.append(expected.source)
            found += match.differences(expected, plain)
    if seen and any(wireshark.RATE in record for record in seen.records):
        found += match.differences(wireshark.scaled(seen.records), scaled)
    else:
        found += rates.differences(known_rates.get(case.name, {}), plain, scaled)
    totals = nfcapd.read(case.files)
    if totals:
        outcome.sources.append("nfcapd")
        found += totals_differences(totals, scaled)
    # The stand-in can neither.
    if program.endswith(".py"):
        return found
    if case.name in again.CASES:
        outcome.sources.append("exported again")
        found += again.differences(program, case)
    if case.name in asides.CASES:
        outcome.sources.append("told to ntopng")
        found += asides.differences(program, case)
    return found + cached.differences(program, case)


def totals_differences(totals, records):
    """nfcapd's records, packets and octets beside ours, rates and all."""
    ours = [len(records)] + [nfcapd.total(records, ways) for ways in (nfcapd.PACKETS, nfcapd.OCTETS)]
    return [
        compare.Difference("nfcapd", f"{mine} {what}, expects {theirs}", [])
        for what, mine, theirs in zip(("records", "packets", "octets"), ours, totals)
        if mine != theirs
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probe", default=str(corpus.REPO / "target" / "release" / "flowsonde"))
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trace", metavar="CASE")
    parser.add_argument("--suggest", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if importlib.util.find_spec("yaml") is None:
        sys.exit("conformance: collect.py needs PyYAML: apt-get install python3-yaml")
    root = corpus.folder()
    every = cases.load(root)
    if not every:
        sys.exit(f"conformance: no case below {root / 'netflow'}")
    chosen = [c for c in every if fnmatch.fnmatch(c.name, options.trace or options.only)]
    if options.list:
        for case in chosen:
            said = ", ".join(e.source for e in case.expectations())
            print(f"{case.name}: {' '.join(f.name for f in case.files)}  [{said}]")
        return 0
    if not chosen:
        sys.exit(f"conformance: no case is named {options.trace or options.only}")
    accepted, known_rates = accepted_differences(), rates.table()
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(examine, options.probe, case, accepted, known_rates) for case in chosen]
        for job in jobs:
            outcomes.append(job.result())
            report(outcomes[-1], whole=bool(options.trace))
    stale = stale_rows(accepted, outcomes, whole=options.only == "*" and not options.trace)
    for name, what in stale:
        print(f"STALE {name}: {TABLE.name} lists '{what}', which no longer occurs")
    if options.suggest:
        suggest(outcomes)
    return summary(outcomes, stale)


def report(outcome, whole):
    if not outcome.differences and not whole:
        return
    print(f"{'FAIL' if outcome.differences else 'PASS'} {outcome.name} "
          f"[{outcome.records} records; {', '.join(outcome.sources)}]")
    for difference in outcome.differences + (outcome.accepted if whole else []):
        print(f"  {difference.what}")
        shown = difference.lines if whole else difference.lines[:SHOWN]
        for line in shown:
            print(f"    {line}")
        if len(difference.lines) > len(shown):
            print(f"    ... and {len(difference.lines) - len(shown)} more")
    sys.stdout.flush()


def stale_rows(accepted, outcomes, whole):
    """Rows that name no difference of this run. Of an oracle that is not to be
    had here (a package index out of reach) nothing is known."""
    absent = () if python_netflow.environment() else ("netflow (PyPI):",)
    if absent:
        print("note: the PyPI package netflow is not to be had; it was not asked")
    seen = {outcome.name: outcome.seen for outcome in outcomes}
    return [
        (name, what)
        for name, rows in accepted.items()
        for what in rows
        if (name in seen or whole) and what not in seen.get(name, ()) and not (absent and what.startswith(absent))
    ]


def suggest(outcomes):
    print("\nrows for differences-collector.csv (find the cause of each first):")
    out = csv.writer(sys.stdout, lineterminator="\n")
    for outcome in outcomes:
        for difference in outcome.differences:
            out.writerow([outcome.name, difference.what, ""])


def summary(outcomes, stale):
    failed = sum(bool(o.differences) for o in outcomes)
    # Nobody says anything of these: only that the collector ends properly was checked.
    skipped = sum(not o.sources and not o.differences for o in outcomes)
    records = sum(o.records for o in outcomes)
    print(f"{records} records in {len(outcomes)} cases; "
          f"{sum(len(o.accepted) for o in outcomes)} accepted differences, {len(stale)} stale")
    print(f"{len(outcomes) - failed - skipped} passed, {failed + len(stale)} failed, {skipped} skipped")
    return 1 if failed or stale else 0


if __name__ == "__main__":
    sys.exit(main())
