"""A decoded record and what is worked out over a whole run: times from uptimes,
the sampling rate, and the JSON object the collector prints."""

import json

from collecting import elements

DELTAS = {(0, n) for n in (1, 2, 19, 20, 23, 24, 231, 232, 298, 299, 352, 353)}
DELTAS |= {(elements.REVERSE, 1), (elements.REVERSE, 2)}
DELTAS |= {(0, 85), (0, 86), (elements.REVERSE, 85), (elements.REVERSE, 86)}


class Flow:
    """`fields` is [(key, value)] in template order, `version` 1 to 10, or "s" for
    sFlow. `boot` is the exporter's start in epoch milliseconds, if known."""

    def __init__(self, version, exporter, domain, export, fields, boot=None, template=None):
        self.version, self.exporter, self.domain = version, exporter, domain
        self.export, self.fields, self.boot = export, fields, boot
        self.template = template
        self.rate = 1

    def first(self, key):
        return next((v for k, v in self.fields if k == key), None)

    def json(self, scaled):
        """The members in template order; of an element that comes twice (outer
        and inner header), the first. Uptimes as epoch seconds."""
        found = {}
        for key, value in self.fields:
            name = elements.label(key)
            if name in found:
                continue
            if key in elements.UPTIMES:
                value = self.instant(value) // 1000
            elif scaled and key in DELTAS and isinstance(value, int):
                value = min(value * self.rate, (1 << 64) - 1)
            if isinstance(value, (bytes, bytearray)):
                value = value.hex()
            elif isinstance(value, dict):
                value = json.dumps(value, separators=(",", ":"))
            found[name] = value
        for delta, key in (((0, 158), (0, 22)), ((0, 159), (0, 21))):
            before = self.first(delta)  # microseconds before the export time
            if isinstance(before, int):
                found.setdefault(elements.label(key), self.export - -(-before // 1_000_000))
        four = self.exporter and ":" not in self.exporter
        found.setdefault("EXPORTER_IPV4_ADDRESS" if four else "EXPORTER_IPV6_ADDRESS", self.exporter)
        return found

    def instant(self, uptime):
        """Epoch milliseconds of an uptime. It counts 32 bits: the moment nearest
        the export time, of those 2**32 ms apart, is meant."""
        if self.boot is None or not isinstance(uptime, int):
            return self.export * 1000
        moment = self.boot + uptime
        wrap = 1 << 32
        while moment - self.export * 1000 > wrap // 2:
            moment -= wrap
        while self.export * 1000 - moment > wrap // 2:
            moment += wrap
        return moment
