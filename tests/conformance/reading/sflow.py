"""sFlow version 5: a datagram of samples, each of a few records, all in XDR.

    version 5 | address type | agent | sub-agent | sequence | uptime | n samples
    sample: enterprise << 12 | format, length, body
    flow sample (1), expanded (3): sequence, source, rate, pool, drops, in, out, n records
    counter sample (2), expanded (4), discarded packet (5): not flows

Interface: in the plain form the two upper bits say how the rest is meant: 0 an
index, 1 discarded (the reason), 2 several (how many). 0 stands for unknown.
"""

import ipaddress
import struct

from . import frame
from .flow import Flow

ETHERNET, IPV4, IPV6 = 1, 11, 12
INTERNAL = 0x3FFFFFFF  # to or from the agent itself


class Cut(Exception):
    """The datagram ends before a structure does."""


class Words:
    """XDR: everything in multiples of four bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def word(self):
        return int.from_bytes(self.take(4), "big")

    def take(self, size):
        if self.at + size > len(self.data):
            raise Cut
        found = self.data[self.at : self.at + size]
        self.at += size + -size % 4
        return found

    def address(self):
        kind = self.word()
        size = {1: 4, 2: 16}.get(kind, 0)
        return str(ipaddress.ip_address(self.take(size))) if size else None


def read(data, time):
    """The flow samples of a datagram."""
    words, flows = Words(data), []
    try:
        words.word()
        agent, sub, _, _, count = (words.address(), words.word(), words.word(), words.word(),
                                   words.word())
        for _ in range(count):
            kind, body = words.word(), words.take(words.word())
            if kind in (1, 3):
                flows.append(sample(Words(body), kind == 3, agent, sub, time))
    except Cut:
        pass
    return [flow for flow in flows if flow]


def sample(words, expanded, agent, sub, time):
    try:
        words.word()
        words.take(8 if expanded else 4)  # source: type and index
        rate, _, _ = words.word(), words.word(), words.word()
        inward, outward = interface(words, expanded), interface(words, expanded)
        count = words.word()
    except Cut:
        return None
    fields = [((0, 10), inward), ((0, 14), outward)]
    length = None
    for _ in range(count):
        try:
            kind, body = words.word(), words.take(words.word())
            found = RECORDS.get(kind, lambda _: ([], None))(Words(body))
        except Cut:
            break
        fields += [pair for pair in found[0] if pair[0] not in {key for key, _ in fields}]
        length = length or found[1]
    flow = Flow("s", agent, sub, int(time), [*fields, ((0, 2), 1), ((0, 1), length or 0)])
    flow.rate = rate
    return flow


def interface(words, expanded):
    """The index, or 0 where the value is not one."""
    if expanded:
        form, value = words.word(), words.word()
    else:
        value = words.word()
        form, value = value >> 30, value & 0x3FFFFFFF
    return value if form == 0 and value != INTERNAL else 0


def header(words):
    protocol, length, _ = words.word(), words.word(), words.word()
    data = words.take(words.word())
    if protocol == ETHERNET:
        return frame.ethernet(data), length
    if protocol in (IPV4, IPV6):
        return frame.internet(data), length
    return [], length


def mac_frame(words):
    length, source, destination = words.word(), words.take(6), words.take(6)
    return [((0, 56), source.hex(":")), ((0, 80), destination.hex(":"))], length


def addresses(size, version):
    """Sampled IPv4 (3) or IPv6 (4): length, protocol, addresses, ports, flags, ToS."""
    def read(words):
        length, protocol = words.word(), words.word()
        source, destination = (str(ipaddress.ip_address(words.take(size))) for _ in range(2))
        sport, dport, flags, tos = (words.word() for _ in range(4))
        one, two = (8, 12) if version == 4 else (27, 28)
        return [((0, 60), version), ((0, 4), protocol), ((0, one), source), ((0, two), destination),
                ((0, 7), sport), ((0, 11), dport), ((0, 6), flags), ((0, 5), tos)], length
    return read


def switch(words):
    """Extended switch: VLAN and priority, inward and outward."""
    before, _, after, _ = (words.word() for _ in range(4))
    return [pair for pair in (((0, 58), before), ((0, 59), after)) if pair[1] < 4096], None


def router(words):
    """Extended router: next hop and the two prefix lengths."""
    hop = words.address() or "0.0.0.0"
    six = ":" in hop
    source, destination = words.word(), words.word()
    return [((0, 62 if six else 15), hop), ((0, 29 if six else 9), source),
            ((0, 30 if six else 13), destination)], None


def gateway(words):
    """Extended gateway: BGP next hop, AS of the router, the source and its peer,
    the path to the destination, whose last AS is the destination's."""
    hop = words.address()
    _, source, _ = words.word(), words.word(), words.word()
    path = []
    for _ in range(words.word()):
        words.word()
        path += [words.word() for _ in range(words.word())]
    fields = [((0, 16), source)]
    if path:
        fields += [((0, 17), path[-1])]
    if hop:
        fields += [((0, 63 if ":" in hop else 18), hop)]
    return fields, None


RECORDS = {1: header, 2: mac_frame, 3: addresses(4, 4), 4: addresses(16, 6),
           1001: switch, 1002: router, 1003: gateway}
