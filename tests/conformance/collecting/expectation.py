"""What one other program says of a case, in the harness's terms."""

import datetime
import re

from . import elements

# Only in options records: a record with none of FLOW and one of these is no flow.
FLOW = {(0, n) for n in (4, 7, 8, 11, 12, 27, 28, 56, 80, 148, 231, 232, 225, 365)}
OPTION = {(0, n) for n in (34, 36, 40, 41, 42, 48, 49, 50, 82, 83, 84, 94, 96, 143, 144, 160, 164, 302, 304)}


class Expectation:
    """`records` are {key: value}; with `complete` there are no others. `count` is
    the number of flow records, where the source says. `overlapping`: two of them
    may say something of the same record."""

    def __init__(self, source, records=(), complete=True, count=None, overlapping=False):
        self.overlapping = overlapping
        self.source, self.complete = source, complete
        self.records = list(records)
        self.count = len(self.records) if complete and count is None else count


def is_flow(record):
    return any(key in FLOW for key in record) or not any(key in OPTION for key in record)


def plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


PLAIN = {}
for _name, _key in elements.KEYS.items():
    if _key[0] in (0, elements.NTOP) or plain(_name) not in PLAIN:
        PLAIN.setdefault(plain(_name), _key)


def key_of(name, aliases):
    """An element by another program's spelling of its name, or None."""
    if name in aliases:
        return aliases[name]
    return PLAIN.get(plain(name)) or elements.key_of(name)


def moment(text):
    """Nanoseconds since 1970 of an ISO time in UTC."""
    found = re.fullmatch(r"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(?:\.(\d+))?Z?", text)
    if not found:
        raise ValueError(f"not a time: {text}")
    whole = datetime.datetime(*(int(n) for n in found.groups()[:6]), tzinfo=datetime.timezone.utc)
    part = (found.group(7) or "").ljust(9, "0")[:9]
    return int(whole.timestamp()) * 1_000_000_000 + int(part)


def in_units(key, nanoseconds):
    """The moment in the unit the collector prints the element in."""
    unit = 1 if key in elements.UPTIMES else elements.UNITS.get(elements.type_of(key))
    return nanoseconds * unit // 1_000_000_000 if unit else None


def epoch(boot, uptime, export):
    """Epoch seconds of a 32-bit uptime in ms: the moment nearest the export time."""
    at, wrap = boot + uptime, 1 << 32
    at -= round((at - export) / wrap) * wrap
    return at // 1000
