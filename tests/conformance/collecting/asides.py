"""What ntopng is told of exporters besides flows, in every way of collecting, beside what
TShark reads in the same datagrams: counters of sFlow's interfaces, and of options data
the names of interfaces, applications, VRFs, samplers and selectors. And options data
passed on, as NetFlow v9 and IPFIX: TShark has to read there what it reads in what came."""

import json

import compare
import export
import probe

from . import datagrams, wireshark, zmtp

# How many counters, interfaces and values TShark is known to see; an agent with an IPv6 address has no place in a counter.
CASES = {
    "netflow/akvorado/multiplesamplingrates": (0, 0, 2),
    "netflow/logstash/netflow_9_cisco_asr_9000_series_options_template_256": (0, 19, 0),
    "netflow/logstash/netflow_9_cisco_nbar_options_template_260": (0, 0, 15),
    "netflow/pmacct/500-IPFIXv10-BGP-CISCO-SRv6/traffic-00.pcap": (0, 4, 5),
    "netflow/telegraf/netflow_v9_options": (0, 8, 0),
    "sflow/ndpi/sflow.pcap": (8, 0, 0),
    "sflow/tcpdump/sflow-print-v6.pcap": (0, 0, 0),
}
WAYS = {"told": (), "passed": ("--collector-passthrough",), "cached": ("--enable-collection-cache",)}
UNKNOWN = {"4294967295": "0"}


def differences(program, case):
    expected, found = read(datagrams.load(case.files)), []
    counts = tuple(len(theirs) for theirs in expected.values())
    if counts != CASES[case.name]:
        found.append(compare.Difference("ntopng", f"TShark sees {counts}, expected {CASES[case.name]}", []))
    for way, options in WAYS.items():
        told = published(program, case.files, options)
        for what, theirs in expected.items():
            ours = told[what]
            found += differ(f"ntopng, {way}", what, theirs, ours)
    for version in (9, 10):
        told = read(passed_on(program, case.files, version))
        for what in ("interfaces", "values"):
            found += differ(f"options passed on, v{version}", what, expected[what], told[what])
    return found


def differ(source, what, theirs, ours):
    lines = [f"lacks {one}" for one in minus(theirs, ours)] + [f"extra {one}" for one in minus(ours, theirs)]
    return [compare.Difference(source, f"{what} differ", lines)] if lines else []


def passed_on(program, files, version):
    """The datagrams a collector gets in pass-through."""
    receiver = export.Receiver()
    try:
        run = probe.Run([program, "-3", "any", "-i", ",".join(map(str, files)), "--collector-passthrough",
                         "-V", str(version), "-n", f"127.0.0.1:{receiver.port}"], 60)
    finally:
        sent = receiver.finish()
    # Of options alone no record is sent, which the program says of a collector that got nothing.
    if run.trouble():
        raise probe.Failed(run.trouble())
    return [datagrams.Datagram(0, ("127.0.0.1", 9), payload) for payload in sent]


def minus(some, others):
    others = list(others)
    for one in some:
        if one in others:
            others.remove(one)
        else:
            yield one


def read(found):
    """What TShark reads in datagrams, by topic."""
    counters, interfaces, values = [], set(), set()
    options = set()
    for source, layer in wireshark.decode(list(found)):
        head = dict(layer)
        for name, body in layer:
            if not isinstance(body, list):
                continue
            if "(Options Template)" in name:
                options |= {(source, v) for k, v in wireshark.walk(body) if k == "cflow.template_id"}
            # An agent with an IPv6 address has no place in the message.
            if name.startswith("Counters sample") and "sflow_245.agent" in head:
                counters += [counter(head, body, dict(one)) for kind, one in body if kind.startswith("Generic")]
            if (source, dict(body).get("cflow.flowset_id")) in options:
                for kind, one in body:
                    if kind.startswith("Flow "):
                        take(one, interfaces, values)
    return {"counters": counters, "interfaces": interfaces, "values": values}


def counter(head, sample, one):
    """An interface's counters, as numbers and words of the message."""
    def value(name):
        text = one["sflow_245." + name]
        return int(UNKNOWN.get(text, text))

    def packets(way):
        return sum(value(f"if{way}{kind}") for kind in ("pkt", "mcast", "bcast"))

    agent = [int(part) for part in head["sflow_245.agent"].split(".")]
    return {
        "deviceIP": int.from_bytes(bytes(agent), "big"),
        "samplesGenerated": int(dict(sample)["sflow.counters_sample.sequence_number"]),
        "ifIndex": value("ifindex"), "ifType": value("iftype"), "ifSpeed": value("ifspeed"),
        "ifDirection": "Full" if value("ifdirection") == 1 else "Half",
        "ifAdminStatus": "Up" if value("ifadmin_status") else "Down",
        "ifOperStatus": "Up" if value("ifoper_status") else "Down",
        "ifInOctets": value("ifinoct"), "ifInPackets": packets("in"), "ifInErrors": value("ifinerr"),
        "ifOutOctets": value("ifoutoct"), "ifOutPackets": packets("out"), "ifOutErrors": value("ifouterr"),
        "ifPromiscuousMode": int(value("ifpromisc") == 1),
    }


# What a value of an element is called: (element, its field, its name's field).
NAMED = ((48, "cflow.sampler_id", "cflow.sampler_name"), (302, "cflow.selector_id", "cflow.sampler_name"),
         (234, "cflow.ingress_vrfid", "cflow.vrfname"))


def take(record, interfaces, values):
    first = {}
    for name, value in record:
        first.setdefault(name, value)
    index = first.get("cflow.inputint") or first.get("cflow.outputint")
    name = first.get("cflow.if_name") or first.get("cflow.if_descr")
    if index and name:
        interfaces.add((int(index), name[:64]))
    if "cflow.appl_name" in first:
        engine = int(first["cflow.appl_id.classification_engine_id"])
        selector = bytes.fromhex(first["cflow.appl_id.selector_id"].replace(":", ""))
        values.add((95, int.from_bytes(bytes([engine]) + selector, "big"), first["cflow.appl_name"]))
    for element, of, called in NAMED:
        if of in first and called in first:
            values.add((element, int(first[of]), first[called]))


NAMES = {95: "APPLICATION_NAME", 48: "samplerName", 302: "samplerName", 234: "VRFname"}


def published(program, files, options):
    """What a subscriber gets, by topic."""
    subscriber = zmtp.Subscriber()
    run = probe.Run([program, "-3", "any", "-i", ",".join(map(str, files)), "--zmq", subscriber.endpoint,
                     "--zmq-probe-mode", "--zmq-disable-compression", *options], 60)
    if run.trouble():
        raise probe.Failed(run.trouble())
    counters, interfaces, values = [], set(), set()
    for topic, payload in subscriber.finish():
        if topic == "counter":
            told = json.loads(payload)
            told.pop("ifName", None)
            counters.append(told)
        elif topic == "snmp-ifaces":
            for names in json.loads(payload).values():
                interfaces |= {(int(index), name) for index, name in names.items()}
        elif topic == "option":
            told = json.loads(payload)
            name = told["map"].get(NAMES.get(told["field"]))
            if name is not None:
                values.add((told["field"], told["value"], name))
    return {"counters": counters, "interfaces": interfaces, "values": values}
