"""A second reader of the probe's exports: NetFlow v5 and v9 and IPFIX messages.

Written from RFC 3954, RFC 7011 and RFC 5655 (a file is messages one after the
other) and from nothing of the probe. Strict: whatever does not fit is an error.
"""

import struct

REVERSE = 29305  # RFC 5103
OCTETS, PACKETS, POST_OCTETS, POST_PACKETS, INITIATOR, RESPONDER = 1, 2, 23, 24, 231, 232


class Wrong(Exception):
    """A message that does not follow the standard."""


def messages(data):
    """Splits an IPFIX file into its messages."""
    at = 0
    while at < len(data):
        if len(data) - at < 16:
            raise Wrong(f"{len(data) - at} bytes after the last message")
        version, length = struct.unpack_from(">HH", data, at)
        if version != 10 or length < 16 or at + length > len(data):
            raise Wrong(f"no IPFIX message at offset {at}: version {version} length {length}")
        yield data[at : at + length]
        at += length


class Reader:
    """Reads the messages of one exporter; keeps templates and sequence."""

    def __init__(self):
        self.templates = {}
        self.expected = {}  # domain -> next sequence number
        self.records = []  # data records: {(enterprise, id): bytes}
        self.options = 0
        self.messages = 0

    def read(self, data):
        self.messages += 1
        version = int.from_bytes(data[:2], "big")
        if version == 5:
            return self.read5(data)
        if version == 9:
            return self.read9(data)
        if version == 10:
            return self.read10(data)
        raise Wrong(f"version {version}")

    def follow(self, domain, sequence, step):
        due = self.expected.get(domain, sequence)
        if sequence != due:
            raise Wrong(f"sequence {sequence}, expected {due}, domain {domain}")
        self.expected[domain] = (sequence + step) & 0xFFFFFFFF

    def read5(self, data):
        count, = struct.unpack_from(">H", data, 2)
        sequence, engine = struct.unpack_from(">IH", data, 16)
        if not 1 <= count <= 30 or len(data) != 24 + 48 * count:
            raise Wrong(f"v5: {count} records in {len(data)} bytes")
        self.follow(engine, sequence, count)
        for at in range(24, len(data), 48):
            record = data[at : at + 48]
            self.records.append({
                (0, PACKETS): record[16:20], (0, OCTETS): record[20:24], (0, 4): record[38:39],
                (0, 8): record[0:4], (0, 12): record[4:8],
                (0, 7): record[32:34], (0, 11): record[34:36],
            })

    def read9(self, data):
        count, = struct.unpack_from(">H", data, 2)
        sequence, domain = struct.unpack_from(">II", data, 12)
        self.follow(domain, sequence, 1)
        before, defined = len(self.records) + self.options, [0]
        self.sets(data, 20, domain, {0: self.template9, 1: self.options9}, defined)
        met = len(self.records) + self.options - before + defined[0]
        if met != count:
            raise Wrong(f"v9: header counts {count} records, {met} found")

    def read10(self, data):
        length, = struct.unpack_from(">H", data, 2)
        sequence, domain = struct.unpack_from(">II", data, 8)
        if length != len(data):
            raise Wrong(f"IPFIX: length {length} in {len(data)} bytes")
        before = len(self.records) + self.options
        self.sets(data, 16, domain, {2: self.template10, 3: self.options10}, [0])
        self.follow(domain, sequence, len(self.records) + self.options - before)

    def sets(self, data, at, domain, kinds, defined):
        while at < len(data):
            if len(data) - at < 4:
                raise Wrong(f"{len(data) - at} bytes after the last set")
            identifier, length = struct.unpack_from(">HH", data, at)
            if length < 4 or at + length > len(data):
                raise Wrong(f"set {identifier} of length {length} at {at}")
            body = data[at + 4 : at + length]
            if identifier in kinds:
                defined[0] += kinds[identifier](body, domain)
            elif identifier >= 256:
                self.data(identifier, body, domain)
            else:
                raise Wrong(f"set id {identifier}")
            at += length

    def template9(self, body, domain):
        at, seen = 0, 0
        while len(body) - at >= 8:
            identifier, count = struct.unpack_from(">HH", body, at)
            at += 4
            fields = []
            for _ in range(count):
                kind, size = struct.unpack_from(">HH", body, at)
                fields.append((0, kind, size))
                at += 4
            self.define(domain, identifier, fields, 0)
            seen += 1
        self.padding(body[at:])
        return seen

    def options9(self, body, domain):
        at, seen = 0, 0
        while len(body) - at >= 10:
            identifier, scope, rest = struct.unpack_from(">HHH", body, at)
            at += 6
            fields = []
            for _ in range((scope + rest) // 4):
                kind, size = struct.unpack_from(">HH", body, at)
                fields.append((0, kind, size))
                at += 4
            self.define(domain, identifier, fields, scope // 4)
            seen += 1
        self.padding(body[at:])
        return seen

    def template10(self, body, domain, scoped=False):
        at, seen = 0, 0
        while len(body) - at >= (10 if scoped else 8):
            identifier, count = struct.unpack_from(">HH", body, at)
            at += 4
            scopes = 0
            if scoped:
                scopes, = struct.unpack_from(">H", body, at)
                at += 2
                if not 1 <= scopes <= count:
                    raise Wrong(f"options template {identifier}: {scopes} scopes of {count}")
            fields = []
            for _ in range(count):
                kind, size = struct.unpack_from(">HH", body, at)
                at += 4
                enterprise = 0
                if kind & 0x8000:
                    enterprise, = struct.unpack_from(">I", body, at)
                    at += 4
                fields.append((enterprise, kind & 0x7FFF, size))
            self.define(domain, identifier, fields, scopes)
            seen += 1
        self.padding(body[at:])
        return seen

    def options10(self, body, domain):
        return self.template10(body, domain, scoped=True)

    def define(self, domain, identifier, fields, scopes):
        if identifier < 256 or not fields:
            raise Wrong(f"template {identifier} with {len(fields)} fields")
        known = self.templates.get((domain, identifier))
        if known and known != (fields, scopes):
            raise Wrong(f"template {identifier} defined anew with other fields")
        self.templates[domain, identifier] = (fields, scopes)

    def data(self, identifier, body, domain):
        if (domain, identifier) not in self.templates:
            raise Wrong(f"data for template {identifier}, which was not sent")
        fields, scopes = self.templates[domain, identifier]
        least = sum(1 if size == 65535 else size for _, _, size in fields)
        at = 0
        while len(body) - at >= least:
            record = {}
            for enterprise, kind, size in fields:
                if size == 65535:
                    size = body[at]
                    at += 1
                    if size == 255:
                        size, = struct.unpack_from(">H", body, at)
                        at += 2
                if at + size > len(body):
                    raise Wrong(f"record of template {identifier} leaves its set")
                record[enterprise, kind] = body[at : at + size]
                at += size
            if scopes:
                self.options += 1
            else:
                self.records.append(record)
        self.padding(body[at:])

    def padding(self, rest):
        if rest.strip(b"\0") or len(rest) > 7:
            raise Wrong(f"padding of {len(rest)} bytes: {rest[:8].hex()}")


def value(record, *name):
    return int.from_bytes(record.get(name, b""), "big")


def totals(records):
    """(records, packets, bytes), the reverse direction included."""
    packets = sum(value(r, 0, PACKETS) + value(r, REVERSE, PACKETS) + value(r, 0, POST_PACKETS)
                  for r in records)
    octets = sum(value(r, 0, OCTETS) + value(r, REVERSE, OCTETS) + value(r, 0, POST_OCTETS)
                 for r in records)
    return len(records), packets, octets
