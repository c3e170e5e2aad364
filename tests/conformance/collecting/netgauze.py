"""NetGauze's complete decode: one JSON value a datagram, templates and options
included. Codes are names there; the numbers are those of the IANA registries."""

import json

from . import elements
from .expectation import Expectation, epoch, in_units, is_flow, moment

FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
PROTOCOLS = {"HOPOPT": 0, "ICMP": 1, "IGMP": 2, "GGP": 3, "IPv4": 4, "TCP": 6, "EGP": 8,
             "UDP": 17, "IPv6": 41, "RSVP": 46, "GRE": 47, "ESP": 50, "IPv6ICMP": 58, "OSPFIGP": 89,
             "PIM": 103, "SCTP": 132, "IPv6NoNxt": 59, "L2TP": 115, "VRRP": 112, "AH": 51,
             "IPv6Route": 43, "IPv6Frag": 44, "MPLSinIP": 137}
CODES = {
    (0, 61): {"ingress": 0, "egress": 1},
    (0, 136): {"idletimeout": 1, "activetimeout": 2, "endofFlowdetected": 3, "forcedend": 4,
               "lackofresources": 5},
}


def read(path):
    flows, boots = [], {}
    for line in path.read_text().splitlines():
        if not line.strip():
            continue
        (kind, message), = json.loads(line).items()
        flows += list(datagram(kind, message, boots))
    for record, domain, export in flows:
        for key in elements.UPTIMES:
            if isinstance(record.get(key), tuple):
                uptime, boot = record[key]
                boot = boots.get(domain) if boot is None else boot
                if boot is None:
                    del record[key]
                else:
                    record[key] = epoch(boot, uptime, export)
    return Expectation("netgauze", [record for record, _, _ in flows])


def datagram(kind, message, boots):
    """(record, domain, export time in ms) of each flow record of a datagram."""
    if kind == "IPFIX":
        domain, boot = message["observation_domain_id"], None
        export = moment(message["export_time"]) // 1_000_000
    else:
        domain = message["source_id"]
        export = moment(message["unix_time"]) // 1_000_000
        boot = export - message["sys_up_time"]
    for each in message["sets"]:
        for records in [body for name, body in each.items() if name == "Data"]:
            for one in records["records"]:
                record = {}
                for field in [*(one.get("scope_fields") or []), *one["fields"]]:
                    for name, value in field.items():
                        put(record, name, value, boot)
                if one.get("scope_fields") or not is_flow(record):
                    if (0, 160) in record:
                        boots[record.get((0, 149), domain)] = record[0, 160]
                    continue
                yield record, domain, export


def put(record, name, value, boot):
    """The first of an element that comes twice: the outer header's."""
    key = elements.key_of(name)
    if key is None or key == (0, 210):
        return
    if key in elements.UPTIMES:
        value = (value, boot)
    else:
        value = translate(key, value)
    if value is not None:
        record.setdefault(key, value)


def translate(key, value):
    kind = elements.type_of(key)
    if key == (0, 6) and isinstance(value, dict):
        return sum(1 << bit for bit, name in enumerate(FLAGS) if value.get(name))
    if key == (0, 4):
        return PROTOCOLS.get(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return value.get("Unassigned") if set(value) == {"Unassigned"} else None
    if isinstance(value, list):
        return bytes(value).hex() if kind == "octetArray" else None
    if key in CODES:
        return CODES[key].get(value) if isinstance(value, str) else value
    if kind in elements.UNITS:
        return in_units(key, moment(value)) if isinstance(value, str) else value
    if kind.startswith("unsigned") and isinstance(value, str):
        return None  # a code of a registry not listed above
    return value
