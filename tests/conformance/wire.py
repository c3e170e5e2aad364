"""NetFlow v5, v9 and IPFIX datagrams from JSON records, for the stand-in only.

The plainest templates: no more than the export check needs to be tried out. v9
has one record a flow (elements 23, 24), the others one per direction.
"""

import ipaddress
import struct

FIELDS = [(1, 8), (2, 8), (22, 4), (21, 4), (7, 2), (11, 2), (4, 1), (6, 1), (5, 1)]
OUT = [(23, 8), (24, 8)]
TEMPLATES = {4: (257, [(8, 4), (12, 4)]), 6: (258, [(27, 16), (28, 16)])}


def sides(records, whole):
    """One row a flow with both directions, or one per direction with packets."""
    for record in records:
        version = record["IP_PROTOCOL_VERSION"]
        names = (f"IPV{version}_SRC_ADDR", f"IPV{version}_DST_ADDR")
        ends = [ipaddress.ip_address(record[name]).packed for name in names]
        ports = [record["L4_SRC_PORT"], record["L4_DST_PORT"]]
        times = (record["FLOW_START_MILLISECONDS"], record["FLOW_END_MILLISECONDS"])
        there = record["IN_PKTS"], record["IN_BYTES"]
        back = record["OUT_PKTS"], record["OUT_BYTES"]
        protocol = record["PROTOCOL"]
        if there[0] or whole:
            yield (version, *ends, *ports, *there, *times, protocol,
                   record["CLIENT_TCP_FLAGS"], back)
        if back[0] and not whole:
            yield (version, *ends[::-1], *ports[::-1], *back, *times, protocol,
                   record["SERVER_TCP_FLAGS"], there)


def export(records, version):
    rows = list(sides(records, version == 9))
    if version == 5:
        return list(netflow5([row for row in rows if row[0] == 4]))
    return list(templated(rows, version))


def chunks(rows, size):
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def netflow5(rows):
    sent = 0
    for part in chunks(rows, 30):
        last = max(row[8] for row in part)
        uptime = 3_600_000
        boot = last - uptime
        out = struct.pack(">HHIIIIBBH", 5, len(part), uptime, last // 1000,
                          last % 1000 * 1_000_000, sent, 0, 0, 0)
        for _, src, dst, sport, dport, packets, octets, first, end, protocol, flags, _ in part:
            out += src + dst + bytes(4) + struct.pack(
                ">HHIIIIHHBBBBHHBBH", 0, 0, packets, octets,
                (first - boot) & 0xFFFFFFFF, (end - boot) & 0xFFFFFFFF,
                sport, dport, 0, flags, protocol, 0, 0, 0, 0, 0, 0)
        sent += len(part)
        yield out


def templated(rows, version):
    sequence = 0
    fields = FIELDS + OUT if version == 9 else [
        ({22: 152, 21: 153}.get(kind, kind), 8 if kind in (21, 22) else size)
        for kind, size in FIELDS
    ]
    body = b""
    for identifier, ends in TEMPLATES.values():
        layout = ends + fields
        body += struct.pack(">HH", identifier, len(layout))
        body += b"".join(struct.pack(">HH", *field) for field in layout)
    templates = struct.pack(">HH", 0 if version == 9 else 2, len(body) + 4) + body
    now = max((row[8] for row in rows), default=0)
    first_message = True
    for part in chunks(rows, 15) if rows else [[]]:
        boot = now - 3_600_000
        sets = templates if first_message else b""
        count = 2 if first_message else 0
        for family, (identifier, _) in TEMPLATES.items():
            chosen = [row for row in part if row[0] == family]
            if not chosen:
                continue
            data = b"".join(data_record(row, version, boot) for row in chosen)
            data += bytes(-len(data) % 4)
            sets += struct.pack(">HH", identifier, len(data) + 4) + data
            count += len(chosen)
        if version == 9:
            yield struct.pack(">HHIIII", 9, count, 3_600_000, now // 1000, sequence, 0) + sets
            sequence += 1
        else:
            yield struct.pack(">HHIII", 10, len(sets) + 16, now // 1000, sequence, 0) + sets
            sequence += len(part)
        first_message = False


def data_record(row, version, boot):
    _, src, dst, sport, dport, packets, octets, first, end, protocol, flags, back = row
    if version == 9:
        times = struct.pack(">II", (first - boot) & 0xFFFFFFFF, (end - boot) & 0xFFFFFFFF)
    else:
        times = struct.pack(">QQ", first, end)
    out = src + dst + struct.pack(">QQ", octets, packets) + times
    out += struct.pack(">HHBBB", sport, dport, protocol, flags, 0)
    if version == 9:
        out += struct.pack(">QQ", back[1], back[0])
    return out
