"""tshark's decoding, run live: the datagrams of a case are written to a capture
twice over, and the second half is taken, so data before its template decodes.

Only the elements of FIELDS are compared: addresses, ports, counters, times,
interfaces and what else has one plain number. Of those that come twice, the first.
"""

import datetime
import hashlib
import json
import re
import subprocess
import tempfile

import oracle

from . import datagrams, elements
from .expectation import Expectation, is_flow

START, END = (-1, 1), (-1, 2)  # whichever element the record has for it
RATE = (-1, 3)  # sFlow's, which comes with every sample

FIELDS = {
    "srcaddr": (0, 8), "dstaddr": (0, 12), "srcaddrv6": (0, 27), "dstaddrv6": (0, 28),
    "nexthop": (0, 15), "nexthopv6": (0, 62), "bgpnexthop": (0, 18), "bgpnexthopv6": (0, 63),
    "srcport": (0, 7), "dstport": (0, 11), "protocol": (0, 4), "octets": (0, 1),
    "packets": (0, 2), "post_octets": (0, 23), "post_packets": (0, 24), "inputint": (0, 10),
    "outputint": (0, 14), "tcpflags": (0, 6), "tos": (0, 5), "post_tos": (0, 55), "srcas": (0, 16),
    "dstas": (0, 17), "srcmask": (0, 9), "dstmask": (0, 13), "srcmaskv6": (0, 29),
    "dstmaskv6": (0, 30), "direction": (0, 61), "vlanid": (0, 58), "post_vlanid": (0, 59),
    "srcmac": (0, 56), "post_dstmac": (0, 57), "dstmac": (0, 80), "post_srcmac": (0, 81),
    "ip_version": (0, 60), "ingress_vrfid": (0, 234), "egress_vrfid": (0, 235),
    "ipv6flowlabel": (0, 31), "ttl_min": (0, 52), "ttl_max": (0, 53), "length_min": (0, 25),
    "length_max": (0, 26), "sampler_id": (0, 48), "selector_id": (0, 302),
    "sampling_algorithm": (0, 35), "flow_id": (0, 148),
    "firewall_event": (0, 233), "responder_octets": (0, 232), "initiator_octets": (0, 231),
    "responder_packets": (0, 299), "initiator_packets": (0, 298), "permanent_octets": (0, 85),
    "permanent_packets": (0, 86), "post_natsource_ipv4_address": (0, 225),
    "post_natdestination_ipv4_address": (0, 226), "post_naptsource_transport_port": (0, 227),
    "post_naptdestination_transport_port": (0, 228), "flow_end_reason": (0, 136),
    "toplabeladdr": (0, 47), "toplabeladdr_v6": (0, 140), "toplabeltype": (0, 46),
    "mpls_top_label_prefix_length": (0, 91), "icmp_type_code_ipv4": (0, 32), "dot1q_vlan_id": (0, 243),
    "dot1q_customer_vlan_id": (0, 245), "frag_ident": (0, 54), "ip_dscp": (0, 195),
    "delta_octets_squared": (0, 198), "ethernet_type": (0, 256), "sta_mac_address": (0, 365),
    "sta_ipv4_address": (0, 366), "wlan_ssid": (0, 147), "wtp_mac_address": (0, 367),
    "layer2_segment_id": (0, 351), "biflow_direction": (0, 239), "ip_ttl": (0, 192),
    "peer_srcas": (0, 129), "peer_dstas": (0, 128), "if_name": (0, 82), "if_descr": (0, 83),
    "pie.ntop.l7_proto": (elements.NTOP, 118),
}


def read(paths):
    """The flow records tshark decodes, or None."""
    records = told(list(datagrams.load(paths)))
    return Expectation("tshark", records, complete=False) if records else None


def told(found):
    """The flow records of these datagrams."""
    if not found:
        return []
    layers = decode(found)
    records, options = [], set()
    for source, layer in layers:
        head = dict(layer)
        if "sflow_245.version" in head:
            records += [sample(body, head) for name, body in layer if "low sample" in name]
            continue
        for name, body in layer:
            if not isinstance(body, list):
                continue
            if "(Options Template)" in name:
                options |= {(source, v) for k, v in walk(body) if k == "cflow.template_id"}
        for name, body in layer:
            if isinstance(body, list) and re.match(r"(Flow)?Set \d+", name):
                number = dict(body).get("cflow.flowset_id")
                if (source, number) not in options:
                    records += [r for r in (record(f, head) for k, f in body if k.startswith("Flow "))]
            elif name.startswith("pdu "):
                records.append(record(body, head))
    return [r for r in records if is_flow(r)]


def decode(found):
    """(source, cflow members) for each datagram of the second round."""
    digest = hashlib.sha256(b"".join(d.payload + repr(d.source).encode() for d in found))
    digest.update(f"collector 3 {oracle.tshark_version()}".encode())
    place = oracle.cache_folder() / "collector" / (digest.hexdigest() + ".json")
    try:
        text = place.read_text()
    except OSError:
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            datagrams.pcap(file.name, [*found, *found])
            done = subprocess.run(
                ["tshark", "-n", "-r", file.name, "-d", "udp.port==2055,cflow", "-T", "json",
                 "-J", "ip udp cflow sflow eth vlan ipv6 tcp icmp icmpv6"],
                capture_output=True, text=True, errors="replace", env=oracle.environment(),
                timeout=300, check=False)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = done.stdout
        place.write_text(text)
    packets = json.loads(text or "[]", object_pairs_hook=lambda pairs: list(map(tuple, pairs)))
    out = []
    for packet in packets[len(packets) // 2 :]:
        layers = dict(dict(packet)["_source"])["layers"]
        source = dict(dict(layers).get("ip", [])).get("ip.src")
        out += [(source, body) for name, body in layers if name in ("cflow", "sflow") and isinstance(body, list)]
    return out


SAMPLE = {
    "eth.src": (0, 56), "eth.dst": (0, 80), "ip.src": (0, 8), "ip.dst": (0, 12), "ip.proto": (0, 4),
    "ip.dsfield": (0, 5), "ipv6.src": (0, 27), "ipv6.dst": (0, 28), "tcp.srcport": (0, 7),
    "tcp.dstport": (0, 11), "tcp.flags": (0, 6), "udp.srcport": (0, 7), "udp.dstport": (0, 11),
    "sflow_245.header.frame_length": (0, 1), "sflow_245.vlan.out": (0, 59),
    "sflow.flow_sample.input_interface": (0, 10), "sflow.flow_sample.output_interface": (0, 14),
    "sflow.flow_sample.sampling_rate": RATE, "sflow_245.nexthop.ipv4": (0, 15),
}
INTERFACES = ((0, 10), (0, 14))
LARGEST = 0x3FFFFFFF  # that value, and what has a bit above it, is no index


def sample(pairs, head):
    """One flow sample: of the sampled frame the outermost header of each kind."""
    agent = head.get("sflow_245.agent")
    found = {(0, 130): agent} if agent else {(0, 131): head["sflow_245.agent.v6"]} \
        if "sflow_245.agent.v6" in head else {}
    own = dict(pairs)
    for key, form in (((0, 10), "input_interface_"), ((0, 14), "output_interface.")):
        prefix = "sflow.flow_sample." + form
        if own.get(prefix + "format") == "0":  # the expanded form
            found[key] = number(own[prefix[:-1] + "_value"])
    for name, value in walk(pairs):
        key = SAMPLE.get(name)
        if key is None or not isinstance(value, str):
            continue
        value = number(value)
        if key in INTERFACES and (not isinstance(value, int) or value >= LARGEST):
            continue
        if key == (0, 59) and value >= 4096:
            continue
        found.setdefault(key, value)
    if (0, 6) in found:
        found[0, 6] &= 0xFF
    return found


def scaled(records):
    """What sFlow's records come to when each is multiplied by its own rate."""
    return Expectation("tshark, scaled", [
        {**{k: v for k, v in r.items() if k != RATE}, (0, 1): r.get((0, 1), 0) * r[RATE], (0, 2): r[RATE]}
        for r in records
    ], complete=False)


def walk(pairs):
    for name, value in pairs:
        yield name, value
        if isinstance(value, list) and value and isinstance(value[0], tuple):
            yield from walk(value)


def record(pairs, head):
    found = {}
    for name, value in walk(pairs):
        name = name.removeprefix("cflow.")
        if not isinstance(value, str) or not value:
            continue
        key = FIELDS.get(name)
        if key:
            found.setdefault(key, number(value))
        elif name in ("timestart", "timeend"):
            moment = uptime(value, head)
            if moment is not None:
                found.setdefault(START if name == "timestart" else END, moment)
        elif name in ("abstimestart", "abstimeend"):
            found.setdefault(START if name == "abstimestart" else END, clock(value))
    for key in (START, END):
        if found.get(key) == 0:
            del found[key]  # an uptime of 0 is shown as no time
    return found


def number(text):
    if text.startswith("0x"):
        return int(text, 16)
    return int(text) if text.isdigit() else text


def uptime(text, head):
    """Milliseconds since 1970 of an uptime in seconds, by the header's two times."""
    if "cflow.sysuptime" not in head:
        return None  # IPFIX: by element 160, which other sources check
    stamp = dict(head["cflow.timestamp_tree"])
    export = float(stamp["cflow.unix_secs"]) + float(stamp.get("cflow.unix_nsecs", 0)) / 1e9
    moment = export - float(head["cflow.sysuptime"]) + float(text)
    wrap = (1 << 32) / 1000
    moment -= round((moment - export) / wrap) * wrap
    return int(moment * 1000)


def clock(text):
    """Milliseconds since 1970 of `Oct 21, 2022 09:45:13.807000000 UTC`."""
    whole, _, part = text.removesuffix(" UTC").partition(".")
    at = datetime.datetime.strptime(" ".join(whole.split()), "%b %d, %Y %H:%M:%S")
    seconds = int(at.replace(tzinfo=datetime.timezone.utc).timestamp())
    return seconds * 1000 + int((part or "0")[:3])
