"""The snapshots of netflow_parser's tests: YAML of the packets parsed. A snapshot
that holds the bytes of a re-export, or nothing, says nothing here."""

from . import elements
from .expectation import Expectation, epoch, key_of

FIXED = {
    "src_addr": (0, 8), "dst_addr": (0, 12), "next_hop": (0, 15), "input": (0, 10),
    "output": (0, 14), "d_pkts": (0, 2), "d_octets": (0, 1), "first": (0, 22), "last": (0, 21),
    "src_port": (0, 7), "dst_port": (0, 11), "tcp_flags": (0, 6), "protocol_number": (0, 4),
    "tos": (0, 5), "src_as": (0, 16), "dst_as": (0, 17), "src_mask": (0, 9), "dst_mask": (0, 13),
    "router_src": (0, 43),
}


def read(path):
    import yaml  # Debian: python3-yaml

    text = path.read_text().split("---", 2)[2]
    packets = yaml.safe_load(text)
    if not isinstance(packets, list) or not packets or not isinstance(packets[0], dict):
        return None
    records, templates = [], {}
    for packet in packets:
        (kind, body), = packet.items()
        if kind in ("V5", "V7"):
            records += [fixed(kind, body["header"], row) for row in body["flowsets"]]
        elif kind in ("V9", "IPFix"):
            for each in body["flowsets"]:
                records += list(flowset(body["header"], each, templates))
    return Expectation("netflow_parser", records) if records else None


def fixed(kind, header, row):
    export = header["unix_secs"] * 1000 + header["unix_nsecs"] // 1_000_000
    found = {}
    for name, value in row.items():
        key = FIXED.get(name)
        if key in elements.UPTIMES:
            value = epoch(export - header["sys_up_time"], value, export)
        if key and isinstance(value, (int, str)):
            found[key] = value
    if kind == "V7":
        found.pop((0, 6), None)  # named by two fields there
    return found


def flowset(header, each, templates):
    (kind, body), = each["body"].items() if isinstance(each["body"], dict) else (("", {}),)
    if kind in ("Template", "Templates"):
        for one in body if isinstance(body, list) else body.get("templates", [body]):
            templates[one["template_id"]] = [
                (one_field.get("enterprise_number", 0), one_field["field_type_number"])
                for one_field in one["fields"]
            ]
    if kind != "Data":
        return
    number = each["header"].get("header_id", each["header"].get("flowset_id"))
    layout = templates.get(number)
    for row in body["fields"]:
        found = {}
        for place, (name, value) in enumerate(row):
            if layout and place < len(layout):
                key = elements.whole(layout[place][0], layout[place][1] & 0x7FFF)
            else:
                key = key_of(name if isinstance(name, str) else list(name.values())[0], {})
            value = leaf(value)
            if key and value is not None and key not in elements.UPTIMES:
                found.setdefault(key, value)
        yield found


def leaf(value):
    """The number, address or text in the enum's wrapping; None for the rest."""
    if not isinstance(value, dict):
        return value if isinstance(value, (int, str, float)) else None
    (kind, inner), = value.items()
    if kind == "DataNumber":
        return list(inner.values())[0] if isinstance(inner, dict) else inner
    if kind in ("Ip4Addr", "Ip6Addr", "MacAddr", "String"):
        return inner
    if kind == "Vec" and isinstance(inner, list):
        return bytes(inner).hex()
    return None
