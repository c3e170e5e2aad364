"""Collected flows exported again, read by tshark and nfcapd, beside the JSON of the same
run: by UDP as NetFlow v5, v9 and IPFIX, and as an IPFIX file, both with the default
template and passed through. The JSON itself is checked against the datagrams as they
came (collect.py); here it stands for what has to arrive."""

import json
import pathlib
import struct
import tempfile

import compare
import export
import probe

from . import datagrams, match, nfcapd, wireshark
from .expectation import Expectation, is_flow

# Every format, exporters of many makes, sampling by options, by header and by sample, times of every sort, texts, IPv6.
CASES = (
    "netflow/akvorado/multiplesamplingrates",
    "netflow/graylog/netflow5.pcap",
    "netflow/graylog/pmacctd-netflow9.pcap",
    "netflow/logstash/netflow_9_ubiquiti_edgerouter_with_mpls_labels",
    "netflow/logstash/netflow_9_cisco_asa",
    "netflow/ndpi/netflowv9.pcap",
    "netflow/pmacct/104-IPFIXv10-IPv6-CISCO-sampling_option/traffic-00.pcap",
    "netflow/pmacct/111-IPFIXv10-NFv9-IPv6-IPv4-mix_sources/traffic-00.pcap",
    "netflow/python-netflow/PACKETS_V9",
    "netflow/telegraf/ipfix_pen_35632",
    "netflow/vflow/ipfix_decoder__init",
    "sflow/ndpi/sflow.pcap",
)
PASS = "--collector-passthrough"
WAYS = ((9, (PASS,)), (10, (PASS,)), (9, ()), (5, ()))
UNUSED = {(0, 8): "0.0.0.0", (0, 12): "0.0.0.0", (0, 27): "::", (0, 28): "::"}
# NetFlow v5 and v9 tell these in fewer bits than IPFIX; what does not fit is the largest that does.
NARROW = {(0, 16): 23456, (0, 17): 23456, (0, 10): 65535, (0, 14): 65535}


def differences(program, case):
    """What arrives otherwise than the JSON says; a stand-in exports nothing."""
    found = []
    if program.endswith(".py"):
        return found
    for version, options in WAYS:
        found += once(program, case, version, options)
    return found


def once(program, case, version, options):
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        receiver = export.Receiver()
        try:
            command = [program, "-3", "any", "-i", ",".join(map(str, case.files)), *options, "-V", str(version),
                       "-n", f"127.0.0.1:{receiver.port}", "--json", str(place / "json")]
            if version == 9:
                command += ["--ipfix-file", str(place / "ipfix")]
            run = probe.Run(command, 60)
        finally:
            sent = receiver.finish()
        if run.trouble():
            raise probe.Failed(run.trouble())
        lines = (place / "json").read_text().splitlines()
        stored = (place / "ipfix").read_bytes() if version == 9 else b""
    records = [clean(match.keyed(json.loads(line))) for line in lines]
    way = "passed" if options else "told"
    found = check(f"again, {way}, v{version}", records, sent, version)
    if version == 9:
        found += check(f"again, {way}, file", records, list(messages(stored)), 10)
    return found


def clean(record):
    return {key: value for key, value in record.items() if UNUSED.get(key) != value}


def messages(stored):
    """The messages of an IPFIX file."""
    while stored:
        length = struct.unpack_from(">H", stored, 2)[0]
        yield stored[:length]
        stored = stored[length:]


def check(source, records, sent, version):
    if version == 5:
        records = [narrowed(r) for r in records if r.get((0, 60)) != 6]
    else:
        records = [r for r in records if is_flow(r)]
    told = wireshark.told([datagrams.Datagram(0, ("127.0.0.1", 9), payload) for payload in sent])
    told = [clean(record) for record in told]
    found = match.differences(Expectation(source, told), records)
    totals = nfcapd.ask(sent) if records else None
    if totals:
        ours = [len(records)] + [nfcapd.total(records, ways) for ways in (nfcapd.PACKETS, nfcapd.OCTETS)]
        found += [
            compare.Difference(f"{source}, nfcapd", f"{mine} {what}, expects {theirs}", [])
            for what, mine, theirs in zip(("records", "packets", "octets"), ours, totals)
            if mine != theirs
        ]
    return found


def narrowed(record):
    """What NetFlow v5 can tell of it."""
    found = {key: value for key, value in record.items() if key not in ((0, 23), (0, 24))}
    for key, instead in NARROW.items():
        if found.get(key, 0) > 65535:
            found[key] = instead
    for key in ((0, 1), (0, 2)):
        found[key] = min(found[key], 0xFFFFFFFF)
    return found
