"""The events logstash-codec-netflow expects: `expected.json` of a case.

Event counts include options records; an event is taken for a flow when it has an
address, a port or a counter. Uptimes of IPFIX stay raw there, and are left out.
"""

import json
import re

from . import elements
from .expectation import Expectation, in_units, is_flow, key_of, moment

ALIASES = {
    "icmp_type": None,  # this is element 32 for one exporter, 176 for another
    "icmp_code": None, "version": None, "flowset_id": None, "flow_seq_num": None,
    "flow_records": None, "engine_type": (0, 38), "engine_id": (0, 39),
    "output_snmp": (0, 14), "input_snmp": (0, 10), "src_mask": (0, 9), "dst_mask": (0, 13),
    "bgp_ipv4_next_hop": (0, 18), "conn_id": (0, 148), "fw_event": (0, 233),
    "if_name": (0, 82), "if_desc": (0, 83), "fw_ext_event": (9, 234),
    "ingress_acl_id": (9, 232), "egress_acl_id": (9, 233),
    "username": (9, 7232), "xlate_src_addr_ipv4": (0, 225), "xlate_dst_addr_ipv4": (0, 226),
    "xlate_src_port": (0, 227), "xlate_dst_port": (0, 228), "event_time_msec": (0, 323),
    "flow_start_msec": (0, 152), "flow_end_reason": (0, 136), "forwarding_status": (0, 89),
    "in_permanent_bytes": (0, 85), "in_permanent_pkts": (0, 86), "ip_dscp": (0, 195),
    "flow_sampler_id": (0, 48), "src_traffic_index": (0, 92), "dst_traffic_index": (0, 93),
    "app_id": (0, 56701), "user_id": (0, 56702), "privateEnterpriseNumber": (0, 346),
    "initialTCPFlags": (6871, 14), "unionTCPFlags": (6871, 15), "silkAppLabel": (6871, 33),
    "reverseInitialTCPFlags": (6871, 16398), "reverseUnionTCPFlags": (6871, 16399),
    "flowAttributes": (6871, 40), "nprobe_proto": (elements.NTOP, 118),
    "nprobe_proto_name": (elements.NTOP, 119), "layer2SegmentId": (0, 351),
    "netscalerTransactionId": (5951, 129), "sampling_interval": None, "sampling_algorithm": None,
}


def read(path):
    book = json.loads(path.read_text())
    events = book.get("expected_events") or []
    total = book.get("expected_event_count")
    complete = total is not None and len(events) == total
    by_index = {a["event"]: {} for a in book.get("field_assertions") or []}
    for said in book.get("field_assertions") or []:
        by_index[said["event"]][said["field"].removeprefix("netflow.")] = said["value"]
    records = [record(event.get("netflow", {})) for event in events]
    # A single event of many is sometimes their last: what it says, some record must say.
    records += [record(fields) for n, fields in by_index.items() if not complete or n >= len(events)]
    scoped = [any("scope" in name for name in event.get("netflow", {})) for event in events]
    scoped += [any("scope" in name for name in fields)
               for n, fields in by_index.items() if not complete or n >= len(events)]
    flows = [r for r, scope in zip(records, scoped) if r and is_flow(r) and not scope]
    boot = next((r[0, 160] for r in records if (0, 160) in r), None)
    for event, one in zip(events, records):
        uptimes(event.get("netflow", {}), one, boot)
    if complete:
        return Expectation("logstash", flows)
    options = len(flows) < len(records)
    return Expectation("logstash", [r for r in flows if r], complete=False, overlapping=True,
                       count=total if total and not options else None)


def uptimes(fields, one, boot):
    for name, key in (("flowStartSysUpTime", (0, 22)), ("flowEndSysUpTime", (0, 21))):
        one.pop(key, None) if boot is None and name in fields else None
        if boot is not None and name in fields:
            one[key] = (boot + fields[name]) // 1000


def record(fields):
    found = {}
    for name, value in fields.items():
        reverse = name.startswith("reverse") and name not in ALIASES
        key = elements.key_of(name) if reverse else key_of(name, ALIASES)
        if key is None or value is None:
            continue
        value = translate(key, name, value)
        if value is not None:
            found[key] = value
    return found


def translate(key, name, value):
    if name == "forwarding_status" and isinstance(value, dict):
        return value["status"] << 6 | value["reason"]
    if isinstance(value, dict):
        return None
    if key == (0, 95):
        return application(value)
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        if elements.type_of(key) == "dateTimeMicroseconds" and len(value) <= 24:
            return None  # cut to milliseconds
        return in_units(key, moment(value))
    if name.endswith("acl_id"):
        return value.replace("-", "")
    return value


def application(text):
    """`engine..selector`, or `engine..enterprise..selector`: which octets these
    were depends on the width of the field, so only the engine can be compared."""
    return Engine(int(str(text).split("..")[0]))


class Engine(int):
    """The first octet of an application id, printed as hex."""

    def __str__(self):
        return f"{int(self):02x}"
