"""Sampling: the same case read with and without the rates must differ by exactly
the rate in `rates.csv`, which has for each case a rate per sampler or selector id
(or `*` for every record). What is not in the table is 1.

The rates are what the options data, the records or the headers say; how each was
found is in its column `why`. sFlow gives its own in every sample."""

import csv
import pathlib

import compare

from . import elements

TABLE = pathlib.Path(__file__).with_name("rates.csv")
SAMPLERS = ((0, 48), (0, 302))
COUNTERS = ((0, 1), (0, 2), (0, 85), (0, 86))


def table():
    """{case: {id as text: rate}}"""
    found = {}
    with open(TABLE, newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["case"], {})[row["sampler"]] = float(row["rate"])
    return found


def differences(rates, plain, scaled):
    """The records of both runs come in the same order."""
    if len(plain) != len(scaled):
        return [compare.Difference("rates", f"{len(scaled)} records, {len(plain)} unscaled", [])]
    lines = []
    for before, after in zip(plain, scaled):
        sampler = next((str(before[k]) for k in SAMPLERS if k in before), "*")
        rate = rates.get(sampler, rates.get("*", 1))
        for key in COUNTERS:
            if not isinstance(before.get(key), int):
                continue
            want = min(round(before[key] * rate), (1 << 64) - 1)
            if after.get(key) != want:
                lines.append(f"sampler {sampler}: {elements.label(key)} {before[key]} became "
                             f"{after.get(key)}, expects {want} (rate {rate:g})")
                break
    if lines:
        return [compare.Difference("rates", f"{len(lines)} of {len(plain)} records", lines)]
    return []
