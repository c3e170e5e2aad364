"""Records beside records: which belongs to which, and where they differ."""

import collections

import compare

from . import elements, wireshark

IDENTITY = ((0, 8), (0, 12), (0, 27), (0, 28), (0, 7), (0, 11), (0, 4), (0, 148))
STARTS = ((0, 22), (0, 150), (0, 152), (0, 154), (0, 156))
ENDS = ((0, 21), (0, 151), (0, 153), (0, 155), (0, 157))


def keyed(found):
    """A JSON object by element; unknown members are left out."""
    record = {}
    for name, value in found.items():
        key = elements.key_of(name)
        if key is not None:
            record.setdefault(key, value)
    return record


def differences(expected, records):
    """One Difference per element that is not as the source says, and one for the
    number of records."""
    found = []
    if expected.count is not None and expected.count != len(records):
        found.append(compare.Difference(
            expected.source, f"{len(records)} records, expects {expected.count}", []))
    wrong = collections.defaultdict(list)
    missing = []
    for want, got in pair(expected.records, records, expected.overlapping):
        if got is None:
            missing.append(show(want))
            continue
        for key, value in want.items():
            if key == wireshark.RATE:
                continue
            problem = disagreement(key, value, got)
            if problem:
                wrong[name(key)].append(f"{show(want)}: {problem}")
    if missing:
        found.append(compare.Difference(
            expected.source, f"{len(missing)} of {len(expected.records)} records not there", missing))
    for element, lines in sorted(wrong.items()):
        found.append(compare.Difference(
            expected.source, f"{element} in {len(lines)} of {len(expected.records)} records", lines))
    return found


def name(key):
    return {wireshark.START: "start", wireshark.END: "end"}.get(key) or elements.label(key)


def disagreement(key, value, got):
    """What is wrong with this element, or None."""
    if key in (wireshark.START, wireshark.END):
        return time_disagreement(STARTS if key == wireshark.START else ENDS, value, got)
    if key not in got:
        return f"no {name(key)}, expects {value!r}"
    if key == (0, 95):
        same = elements.digits(got[key]).startswith(elements.digits(value))
    else:
        same = elements.same(key, value, got[key])
    return None if same else f"{name(key)} {got[key]!r}, expects {value!r}"


def time_disagreement(candidates, milliseconds, got):
    said = None
    for key in candidates:
        if key not in got:
            continue
        unit = 1 if key in elements.UPTIMES else elements.UNITS[elements.type_of(key)]
        slack = 1000 if unit == 1 else 1
        value = got[key]
        if isinstance(value, int) and abs(value * 1000 / unit - milliseconds) <= slack:
            return None
        said = said or f"{name(key)} {value!r}, expects {milliseconds} ms"
    return said or f"no time, expects {milliseconds} ms"


def pair(expected, records, overlapping=False):
    """Each expected record with the one of `records` that fits best; None when
    none is left. First by identity, so that equal sets pair in linear time."""
    if overlapping:
        return [only for want in expected for only in pair([want], records)]
    left = dict(enumerate(records))
    groups = collections.defaultdict(list)
    for number, record in left.items():
        groups[identity(record)].append(number)
    later, pairs = [], []
    for want in expected:
        choice = [n for n in groups.get(identity(want), ()) if n in left]
        best = min(choice, key=lambda n: distance(want, left[n]), default=None)
        if best is not None and distance(want, left[best]) == 0:
            pairs.append((want, left.pop(best)))
        else:
            later.append(want)
    for want in later:
        best = min(left, key=lambda n: distance(want, left[n]), default=None)
        if best is not None and distance(want, left[best]) * 2 > len(want):
            best = None
        pairs.append((want, left.pop(best) if best is not None else None))
    return pairs


def distance(want, record):
    return sum(disagreement(key, value, record) is not None
               for key, value in want.items() if key != wireshark.RATE)


def identity(record):
    return tuple(elements.canonical(elements.type_of(k), record[k]) if k in record else None
                 for k in IDENTITY)


def show(record):
    parts = [f"{elements.label(k)}={record[k]}" for k in IDENTITY if k in record]
    if not parts:
        parts = [f"{name(k)}={v}" for k, v in list(record.items())[:4]]
    return " ".join(parts)[:160]
