"""The headers of a sampled frame: Ethernet, VLAN tags, MPLS, IPv4 or IPv6, ports.
Tunnels are not looked into."""

import ipaddress
import struct

PORTS = (6, 17, 33, 132, 136)
EXTENSIONS = (0, 43, 60, 135)


def ethernet(data):
    """Elements of a frame that starts with a MAC header, as far as it goes."""
    fields = [((0, 56), data[6:12].hex(":")), ((0, 80), data[:6].hex(":"))]
    at, tags = 12, []
    while at + 2 <= len(data):
        kind, = struct.unpack_from(">H", data, at)
        at += 2
        if kind in (0x8100, 0x88A8, 0x9100) and at + 2 <= len(data):
            tags.append(int.from_bytes(data[at : at + 2], "big") & 0xFFF)
            at += 2
            continue
        if kind in (0x8847, 0x8848):
            while at + 4 <= len(data) and not data[at + 2] & 1:
                at += 4
            at += 4
            kind = {4: 0x800, 6: 0x86DD}.get(data[at] >> 4 if at < len(data) else 0, 0)
        break
    else:
        kind = 0
    if tags:
        fields.append(((0, 58), tags[-1]))
    if kind in (0x800, 0x86DD):
        fields += internet(data[at:])
    return fields


def internet(data):
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        return ipv4(data)
    if version == 6 and len(data) >= 40:
        return ipv6(data)
    return []


def ipv4(data):
    fields = [((0, 60), 4), ((0, 5), data[1]), ((0, 4), data[9]),
              ((0, 8), str(ipaddress.ip_address(data[12:16]))),
              ((0, 12), str(ipaddress.ip_address(data[16:20])))]
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return fields  # not the first fragment: no transport header
    return fields + transport(data[9], data[(data[0] & 15) * 4 :])


def ipv6(data):
    word, = struct.unpack_from(">I", data)
    protocol, at = data[6], 40
    while protocol in EXTENSIONS and at + 2 <= len(data):
        protocol, at = data[at], at + (data[at + 1] + 1) * 8
    return [((0, 60), 6), ((0, 5), word >> 20 & 255), ((0, 31), word & 0xFFFFF), ((0, 4), protocol),
            ((0, 27), str(ipaddress.ip_address(data[8:24]))),
            ((0, 28), str(ipaddress.ip_address(data[24:40]))),
            *transport(protocol, data[at:])]


def transport(protocol, data):
    if protocol in PORTS and len(data) >= 4:
        source, destination = struct.unpack_from(">HH", data)
        fields = [((0, 7), source), ((0, 11), destination)]
        if protocol == 6 and len(data) >= 14:
            fields.append(((0, 6), data[13]))
        return fields
    if protocol in (1, 58) and len(data) >= 2:
        return [((0, 32 if protocol == 1 else 139), data[0] << 8 | data[1])]
    return []
