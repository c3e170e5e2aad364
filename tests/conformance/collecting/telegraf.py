"""What telegraf's netflow input expects: `expected.out`, InfluxDB line protocol.
Metrics named netflow_options are options records; sFlow counters are no flows."""

import re

from . import elements
from .expectation import Expectation, key_of

ALIASES = {
    "src_port": (0, 7), "dst_port": (0, 11), "in_bytes": (0, 1), "in_packets": (0, 2),
    "out_bytes": (0, 23), "out_packets": (0, 24), "in_total_bytes": (0, 85),
    "in_total_packets": (0, 86), "src_tos": (0, 5), "dst_tos": (0, 55), "in_snmp": (0, 10),
    "out_snmp": (0, 14), "src_mask": (0, 9), "dst_mask": (0, 13), "next_hop": (0, 15),
    "vlan_src": (0, 58), "vlan_dst": (0, 59), "in_src_mac": (0, 56), "out_dst_mac": (0, 57),
    "in_dst_mac": (0, 80), "out_src_mac": (0, 81), "flow_start_ms": (0, 152),
    "flow_end_ms": (0, 153), "flow_start": (0, 150), "flow_end": (0, 151),
    "flow_end_reason": (0, 136), "l7_proto": (elements.NTOP, 118),
    "app_latency_ms": (elements.NTOP, 125), "client_nw_latency_ms": (elements.NTOP, 123),
    "server_nw_latency_ms": (elements.NTOP, 124), "ssl_cipher": (elements.NTOP, 493),
    "ssl_unsafe_cipher": (elements.NTOP, 494), "ssl_version": (elements.NTOP, 495),
    "ja3c_hash": (elements.NTOP, 489), "ja3s_hash": (elements.NTOP, 490),
    "ssl_server_name": (elements.NTOP, 188), "protocol": (0, 4), "tcp_flags": (0, 6),
    "first_switched": None, "last_switched": None, "seq_number": None, "direction": None,
    "interface": None, "ip_version": (0, 60),
}
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "igmp": 2, "hopopt": 0}
REASONS = {"idle timeout": 1, "active timeout": 2, "end of flow": 3, "forced end": 4,
           "lack of resources": 5}
FLAGS = "FSRPAUEC"
COUNTERS = ("interface_type", "in_unicast_packets_total", "reason")
PAIR = re.compile(r'([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^,\s]+)')


def read(path):
    records = []
    for line in path.read_text().splitlines():
        head, _, body = line.partition(" ")
        if not head.startswith("netflow,"):
            continue
        pairs = dict(PAIR.findall(body))
        sflow = "version=sFlow" in head
        if sflow and any(name in pairs for name in COUNTERS):
            continue
        found = {k: v for k, v in (field(n, v, pairs, sflow) for n, v in pairs.items()) if k}
        if sflow:
            found[0, 2] = 1
        records.append(found)
    return Expectation("telegraf", records)


def field(name, text, pairs, sflow):
    value = text.strip('"') if text.startswith('"') else number(text)
    if name in ("src", "dst"):
        side = ((0, 27), (0, 28)) if ":" in value else ((0, 8), (0, 12))
        return side[name == "dst"], value
    if sflow and name in ("vlan_dst", "out_dst_mac", "in_snmp", "out_snmp", "protocol", "in_total_packets"):
        if name == "out_dst_mac":
            return (0, 80), value
        if name in ("in_total_packets", "protocol", "in_snmp", "out_snmp") or value == 4294967295:
            return None, None
    if sflow and name in ("datalink_frame_type", "fragment_flags", "fragment_offset", "sampling_interval"):
        return None, None
    if sflow and name == "l2_bytes":
        return (0, 1), value
    opaque = re.fullmatch(r"type_(\d+)_(rev_)?(\d+)", name)
    if opaque:
        pen, reverse, number_ = int(opaque[1]), opaque[2], int(opaque[3])
        if pen == elements.REVERSE and elements.type_of((pen, number_)).startswith("unsigned"):
            value = int(value, 16) if isinstance(value, str) else value
        if pen == elements.NTOP:
            value = int(value, 16) if re.fullmatch("0x[0-9a-f]+", str(value)) else value
        return (pen, number_ | (0x4000 if reverse else 0)), value
    key = key_of(name, ALIASES)
    if key is None:
        return None, None
    return key, translate(key, value)


def number(text):
    return int(text.rstrip("ui")) if text.rstrip("ui").lstrip("-").isdigit() else text


def translate(key, value):
    if key == (0, 4):
        return PROTOCOLS.get(value, value)
    if key == (0, 60) and isinstance(value, str):
        return {"IPv4": 4, "IPv6": 6}.get(value)
    if key == (0, 136):
        return REASONS.get(value, value)
    if key == (0, 6) and isinstance(value, str):
        return sum(1 << bit for bit, letter in enumerate(FLAGS) if letter in value)
    if isinstance(value, str) and value.startswith("0x") and elements.type_of(key).startswith("unsigned"):
        return int(value, 16)
    return value
