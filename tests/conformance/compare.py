"""The checks: each compares the probe's flows with the oracle's and returns a
`Difference`, or None where they agree."""

import oracle

SHOWN = 4  # lines of detail a difference keeps


class Difference:
    """`what` names it exactly (the table of accepted differences holds it);
    `lines` show the first few places."""

    def __init__(self, check, summary, lines):
        self.what = f"{check}: {summary}"
        self.lines = lines

    def __repr__(self):
        return self.what


def flows_of(answer):
    """The oracle's flows by 5-tuple."""
    found = {}
    for entry in answer["flows"]:
        one, two, protocol = entry["key"]
        found[(tuple(one), tuple(two), protocol)] = entry
    return found


def name(tuple5):
    (one, port1), (two, port2), protocol = tuple5
    return f"{one}.{port1} - {two}.{port2} proto {protocol}"


def loops(tuple5):
    """Both ends alike: the direction cannot be told."""
    return tuple5[0] == tuple5[1]


def both(values, tuple5):
    """Per direction, or the sum where there is no direction."""
    return [sum(values)] if loops(tuple5) else list(values)


def volume(check, probe, expected):
    """Packets and bytes of every 5-tuple, each direction."""
    lines, wrong, packets, octets = [], 0, 0, 0
    for tuple5 in sorted(set(probe) | set(expected)):
        mine, theirs = probe.get(tuple5), expected.get(tuple5)
        zero = [0, 0]
        got = (mine.packets, mine.bytes) if mine else (zero, zero)
        want = (theirs["packets"], theirs["bytes"]) if theirs else (zero, zero)
        packets += sum(got[0]) - sum(want[0])
        octets += sum(got[1]) - sum(want[1])
        if all(both(g, tuple5) == both(w, tuple5) for g, w in zip(got, want)):
            continue
        wrong += 1
        lines.append(
            f"{name(tuple5)}: probe {show(got)}, tshark {show(want)}"
        )
    if wrong:
        return Difference(check, f"{wrong} tuples, {packets:+} packets, {octets:+} bytes", lines)
    return None


def show(pair):
    packets, octets = pair
    return f"{packets[0]}/{packets[1]} packets {octets[0]}/{octets[1]} bytes"


def tcp_flows(probe, expected):
    """One TCP flow a tshark stream. Packets whose TCP header tshark could not
    read have no stream; alone in their 5-tuple they make one flow."""
    lines, got_all, want_all = [], 0, 0
    for tuple5 in sorted(set(probe) | set(expected)):
        if tuple5[2] != oracle.TCP:
            continue
        mine, theirs = probe.get(tuple5), expected.get(tuple5)
        got = len(mine.records) if mine else 0
        want = (len(theirs["streams"]) or 1) if theirs else 0
        got_all, want_all = got_all + got, want_all + want
        if got != want:
            lines.append(f"{name(tuple5)}: probe {got} flows, tshark {want} streams")
    if lines:
        return Difference("tcp-flows", f"{got_all} flows, {want_all} streams", lines)
    return None


def other_flows(probe, expected):
    """With timeouts nothing reaches, one flow a 5-tuple for all but TCP, and but
    for ICMP, whose type and code are part of the key."""
    lines = []
    for tuple5, mine in sorted(probe.items()):
        if tuple5[2] not in (oracle.TCP, 1, 58) and tuple5 in expected and len(mine.records) != 1:
            lines.append(f"{name(tuple5)}: {len(mine.records)} flows")
    if lines:
        return Difference("other-flows", f"{len(lines)} tuples", lines)
    return None


def shaken(answer, tuple5_entry):
    """All streams of a 5-tuple, when each has its full handshake."""
    streams = [answer["streams"][str(number)] for number in tuple5_entry["streams"]]
    if streams and all(stream["handshake"] is not None for stream in streams):
        return streams
    return None


def retransmissions(probe, expected, answer, tally):
    """Retransmissions and out-of-order packets a direction, for 5-tuples whose
    streams all have a handshake. tshark's border between the two kinds is a
    timing rule, so a 5-tuple with equal sums but another split is tallied as
    `border` and a difference of sums is a difference."""
    lines, got_all, want_all = [], 0, 0
    for tuple5, theirs in sorted(expected.items()):
        streams = shaken(answer, theirs)
        mine = probe.get(tuple5)
        if not streams or mine is None:
            continue
        want_r = [sum(s["retransmissions"][way] for s in streams) for way in (0, 1)]
        want_o = [sum(s["out_of_order"][way] for s in streams) for way in (0, 1)]
        got_r, got_o = mine.retransmissions, mine.out_of_order
        tally["handshakes"] += 1
        tally["tshark retransmissions"] += sum(want_r)
        tally["tshark out of order"] += sum(want_o)
        tally["probe retransmissions"] += sum(got_r)
        tally["probe out of order"] += sum(got_o)
        got = [r + o for r, o in zip(got_r, got_o)]
        want = [r + o for r, o in zip(want_r, want_o)]
        if both(got, tuple5) == both(want, tuple5):
            if (got_r, got_o) != (want_r, want_o):
                tally["border"] += 1
            continue
        got_all, want_all = got_all + sum(got), want_all + sum(want)
        lines.append(
            f"{name(tuple5)}: probe {got_r[0]}/{got_r[1]} retransmitted "
            f"{got_o[0]}/{got_o[1]} out of order, tshark {want_r[0]}/{want_r[1]} "
            f"and {want_o[0]}/{want_o[1]}"
        )
    if lines:
        return Difference(
            "retransmissions", f"{len(lines)} tuples, probe {got_all}, tshark {want_all}", lines
        )
    return None


def latency(probe, expected, answer, tally):
    """Client plus server latency is half of tshark's initial round trip time,
    and each is half of its own leg of the handshake (legs only where tshark took
    the same ACK for the third packet). Only where SYN and SYN/ACK
    were each sent once and time went on between the three: tshark takes a zero
    for `not seen`."""
    lines = []
    for tuple5, theirs in sorted(expected.items()):
        streams = shaken(answer, theirs)
        mine = probe.get(tuple5)
        if not streams or len(streams) != 1 or mine is None or len(mine.records) != 1:
            continue
        stream = streams[0]
        if sum(stream["syn"]) != 1 or sum(stream["synack"]) != 1 or stream["rtt"] is None:
            continue
        syn, synack, ack = (time for _, _, time in stream["shake"])
        if not syn < synack < ack:
            continue
        record = mine.records[0]
        got = [record["CLIENT_NW_LATENCY_MS"], record["SERVER_NW_LATENCY_MS"]]
        want = [(ack - synack) * 500, (synack - syn) * 500]
        pairs = [(2 * sum(got), stream["rtt"] * 1000)]
        if abs(2 * sum(want) - stream["rtt"] * 1000) < 0.001:
            pairs += zip(got, want)
        tally["latencies"] += 1
        if any(abs(g - w) > 0.01 + 0.001 * w for g, w in pairs):
            lines.append(
                f"{name(tuple5)}: probe client {got[0]:.3f} server {got[1]:.3f} ms, "
                f"tshark {want[0]:.3f} {want[1]:.3f}, round trip {stream['rtt'] * 1000:.3f}"
            )
    if lines:
        return Difference("latency", f"{len(lines)} tuples", lines)
    return None


def details(probe, expected):
    """First and last time, TTL range, TCP flags, fragments, ICMP type."""
    wrong = {}
    for tuple5, theirs in sorted(expected.items()):
        mine = probe.get(tuple5)
        if mine is None:
            continue
        for label, got, want in (
            ("times", [mine.first, mine.last],
             [int(theirs["first"] * 1000 + 1e-4), int(theirs["last"] * 1000 + 1e-4)]),
            ("ttl", mine.ttl, theirs["ttl"]),
            ("tcp-flags", both_or(mine.flags, tuple5), both_or(theirs["flags"], tuple5)),
            ("fragments", both(mine.fragments, tuple5), both(theirs["fragments"], tuple5)),
            ("icmp-type", mine.records[0]["ICMP_TYPE"], theirs["icmp"] or 0),
        ):
            same = got == want
            if label == "times":
                same = all(abs(g - w) <= 1 for g, w in zip(got, want))
            if not same:
                wrong.setdefault(label, []).append(f"{name(tuple5)}: probe {got}, tshark {want}")
    return [
        Difference(label, f"{len(lines)} tuples", lines) for label, lines in wrong.items()
    ]


def both_or(flags, tuple5):
    return [flags[0] | flags[1]] if loops(tuple5) else list(flags)


def every(probe, expected, answer, tally):
    """All checks of one run with whole-capture timeouts."""
    found = [
        volume("flows", probe, expected),
        tcp_flows(probe, expected),
        other_flows(probe, expected),
        retransmissions(probe, expected, answer, tally),
        latency(probe, expected, answer, tally),
        *details(probe, expected),
    ]
    return [difference for difference in found if difference]


def totals(check, probe, expected):
    """The independent second count: everything added up."""
    got = [sum(sum(getattr(f, field)) for f in probe.values()) for field in ("packets", "bytes")]
    want = [sum(sum(f[field]) for f in expected.values()) for field in ("packets", "bytes")]
    if got != want:
        return Difference(
            check, f"{got[0] - want[0]:+} packets, {got[1] - want[1]:+} bytes",
            [f"probe {got[0]} packets {got[1]} bytes, tshark {want[0]} and {want[1]}"],
        )
    return None
