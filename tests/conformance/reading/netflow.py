"""NetFlow v1, v5 and v7: a header and up to 30 records of fixed layout.

v5 record, offsets in bytes: 0 source, 4 destination, 8 next hop, 12 and 14
interfaces, 16 packets, 20 octets, 24 first, 28 last (uptime, ms), 32 and 34
ports, 36 padding, 37 TCP flags, 38 protocol, 39 ToS, 40 and 42 AS, 44 and 45
masks. v7 has flags in 36 and the router that was bypassed in 48. v1 has padding
in 36, protocol, ToS and TCP flags in 38 to 40.
"""

import socket
import struct

from .flow import Flow

SIZES = {1: (16, 48), 5: (24, 48), 7: (24, 52)}


def read(data, exporter):
    """The flows of a datagram, as many as are there in full."""
    version, count, uptime, seconds, part = struct.unpack_from(">HHIII", data)
    head, size = SIZES[version]
    boot = seconds * 1000 + part // 1_000_000 - uptime
    domain, engine, rate = 0, None, None
    if version == 5:
        engine = data[20], data[21]
        domain = data[20] << 8 | data[21]
        sampling, = struct.unpack_from(">H", data, 22)
        rate = sampling & 0x3FFF  # the two upper bits are the mode
    for at in range(head, min(len(data) - size, head + (count - 1) * size) + 1, size):
        flow = Flow(version, exporter, domain, seconds, record(version, data, at), boot)
        if engine:
            flow.fields += [((0, 38), engine[0]), ((0, 39), engine[1])]
        flow.header_rate = rate
        yield flow


def record(version, data, at):
    def number(offset, size):
        return int.from_bytes(data[at + offset : at + offset + size], "big")

    def address(offset):
        return socket.inet_ntoa(data[at + offset : at + offset + 4])

    fields = [((0, 8), address(0)), ((0, 12), address(4)), ((0, 15), address(8)),
              ((0, 10), number(12, 2)), ((0, 14), number(14, 2)),
              ((0, 2), number(16, 4)), ((0, 1), number(20, 4)),
              ((0, 22), number(24, 4)), ((0, 21), number(28, 4)),
              ((0, 7), number(32, 2)), ((0, 11), number(34, 2))]
    if version == 1:
        return fields + [((0, 4), number(38, 1)), ((0, 5), number(39, 1)), ((0, 6), number(40, 1))]
    fields += [((0, 6), number(37, 1)), ((0, 4), number(38, 1)), ((0, 5), number(39, 1)),
               ((0, 16), number(40, 2)), ((0, 17), number(42, 2)),
               ((0, 9), number(44, 1)), ((0, 13), number(45, 1))]
    if version == 7:
        fields.append(((0, 43), address(48)))
    return fields
