"""What merging must not change: the sums of every flow's packets and octets.

The collector is run twice over a case, with and without its cache. Both tell the same
elements; records are summed by key, whichever end is the source. A key is the ends,
protocol and exporter. Of ICMP the ports are left out, as a merged flow has none; of a
record of both families (a tunnel: SRv6) the IPv6 addresses, as a flow has one family.
Events of firewalls and translators that count nothing become no flow.
"""

import collections
import json

import compare
import probe

ENDS = ("IPV4_{}_ADDR", "IPV6_{}_ADDR", "L4_{}_PORT")
COUNTS = ("IN_PKTS", "IN_BYTES", "OUT_PKTS", "OUT_BYTES")
WHO = ("PROTOCOL", "EXPORTER_IPV4_ADDRESS", "EXPORTER_IPV6_ADDRESS")
EVENTS = ("FIREWALL_EVENT", "NAT_EVENT")
ICMP = (1, 58)
MOST = 2**64 - 1


def end(record, side):
    """Address and port of a side."""
    four, six, port = (record[name.format(side)] for name in ENDS)
    return (six if four == "0.0.0.0" else four, 0 if record["PROTOCOL"] in ICMP else port)


def sums(records):
    """{key: [packets, octets there, packets, octets back]}; counters saturate."""
    totals = collections.defaultdict(lambda: [0, 0, 0, 0])
    for record in records:
        source, destination = (end(record, side) for side in ("SRC", "DST"))
        counts = [record[name] for name in COUNTS]
        if destination < source:
            source, destination = destination, source
            counts = counts[2:] + counts[:2]
        elif source == destination:
            counts = [counts[0] + counts[2], counts[1] + counts[3], 0, 0]
        total = totals[source, destination, *(record[name] for name in WHO)]
        for i, count in enumerate(counts):
            total[i] = min(total[i] + count, MOST)
    return totals


def told(program, files, options=()):
    elements = [name.format(side) for side in ("SRC", "DST") for name in ENDS] + [*COUNTS, *WHO, *EVENTS]
    run = probe.Run([program, "-3", "any", "-i", ",".join(str(path) for path in files),
                     "-T", " ".join("%" + name for name in elements), *options, "--json", "-"], 120)
    trouble = run.trouble()
    if trouble:
        raise probe.Failed(trouble)
    return [json.loads(line) for line in run.stdout.splitlines()]


def differences(program, case):
    """Keys whose sums differ, in one difference; and records that merging made more of."""
    plain, merged = told(program, case.files), told(program, case.files, ["--enable-collection-cache"])
    expected, found = sums(plain), sums(merged)
    silent = [record for record in plain if not any(record[name] for name in COUNTS)]
    for key in sums(record for record in silent if any(record[name] for name in EVENTS)):
        if not any(expected[key]) and key not in found:
            del expected[key]
    wrong = [
        f"{key}: {found.get(key)}, expects {expected.get(key)}"
        for key in sorted(expected.keys() | found.keys(), key=str)
        if found.get(key) != expected.get(key)
    ]
    result = []
    if wrong:
        result.append(compare.Difference("cached", f"{len(wrong)} keys of {len(expected)} differ", wrong))
    if len(merged) > len(plain):
        result.append(compare.Difference("cached", f"{len(merged)} flows of {len(plain)} records", []))
    return result
