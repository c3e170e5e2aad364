"""What tshark says a capture holds, in the terms a flow record uses.

One tshark pass a capture prints a row of fields a frame; everything else is
addition. The work is in reading those fields the way a flow meter counts:

- Only the outermost IP header of a frame is a flow's. tshark prints a field
  once for every layer that has it (`ip.src` of a GRE packet: outer, inner), so
  the first of the values is taken, and `frame.protocols` tells whether IPv4 or
  IPv6 came first.
- The first value of a port field is only the outer packet's when the outer
  header itself says TCP, UDP, ...: the ports inside GRE or of the packet an
  ICMP error quotes are not the flow's. The protocol is `ip.proto`, or the end
  of the IPv6 extension header chain, never the last layer tshark reached.
- Reassembly is off, so each fragment is a row. Later fragments have no ports;
  they belong to the flow of their first fragment, found by (addresses,
  identification), and to a flow with ports 0 when the first was not captured
  before them.
- ICMP has no ports in the key, as in tshark's 5-tuple.
- Bytes are the IP total length, or the IPv6 payload length + 40.
- IP found behind an unusual link layer counts too; `layers` has the packets by
  what is below IP, as a hint for tracing.

Results are cached by the capture's hash and VERSION, outside the repository.
"""

import hashlib
import ipaddress
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from functools import lru_cache

VERSION = 3  # raise when the meaning of the cached result changes

FIELDS = """
frame.number frame.time_epoch frame.len frame.protocols
ip.src ip.dst ip.proto ip.len ip.id ip.flags.mf ip.frag_offset ip.ttl
ipv6.src ipv6.dst ipv6.nxt ipv6.plen ipv6.hlim ipv6.opt.jumbo
ipv6.hopopts.nxt ipv6.dstopts.nxt ipv6.routing.nxt
ipv6.fraghdr.nxt ipv6.fraghdr.offset ipv6.fraghdr.more ipv6.fraghdr.ident
tcp.srcport tcp.dstport tcp.stream tcp.flags tcp.seq_raw tcp.ack_raw
udp.srcport udp.dstport sctp.srcport sctp.dstport dccp.srcport dccp.dstport
icmp.type icmp.code icmpv6.type icmpv6.code
tcp.analysis.retransmission tcp.analysis.fast_retransmission
tcp.analysis.spurious_retransmission tcp.analysis.out_of_order
tcp.analysis.initial_rtt
""".split()

OPTIONS = [
    "-o", "ip.defragment:FALSE",
    "-o", "ipv6.defragment:FALSE",
    "-o", "tcp.desegment_tcp_streams:FALSE",
]

# Common layers below IP, by tshark's names.
USUAL = {
    "eth", "ethertype", "vlan", "ieee8021ad", "mpls", "pppoes", "ppp",
    "sll", "raw", "null", "loop", "llc", "pwethheuristic", "pwethcw", "pwethnocw",
}

ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 58, 132, 136
PORT_FIELDS = {TCP: "tcp", UDP: "udp", UDPLITE: "udp", SCTP: "sctp", DCCP: "dccp"}
# IPv6 extension headers that are walked, and the field of their next header.
EXTENSIONS = {
    0: "ipv6.hopopts.nxt",
    43: "ipv6.routing.nxt",
    44: "ipv6.fraghdr.nxt",
    60: "ipv6.dstopts.nxt",
}
SYN, ACK = 0x02, 0x10


def unusual(answer):
    """The layers below IP, with their packets, that are not the common ones."""
    return {
        stack: packets
        for stack, packets in answer["layers"].items()
        if any(layer not in USUAL for layer in stack.split(":"))
    }


@lru_cache(maxsize=1 << 16)
def address(text):
    """One spelling for an address, whoever printed it."""
    return str(ipaddress.ip_address(text))


def key(src, sport, dst, dport, protocol):
    """The unordered 5-tuple, and whether the packet goes from its first end."""
    one, two = (src, sport), (dst, dport)
    if one <= two:
        return (one, two, protocol), True
    return (two, one, protocol), False


def number(text):
    """An integer as tshark prints it: decimal or 0x."""
    return int(text, 0)


class Row:
    """The fields of one frame; `row("ip.src")` is the outermost value or None."""

    def __init__(self, line):
        self.values = dict(zip(FIELDS, line.rstrip("\n").split("\t")))

    def __call__(self, field):
        value = self.values.get(field)
        return value.split(",", 1)[0] if value else None

    def all(self, field):
        value = self.values.get(field)
        return value.split(",") if value else []


class Packet:
    """The outermost IP packet of a frame."""

    __slots__ = (
        "frame", "time", "src", "dst", "sport", "dport", "protocol", "bytes",
        "ttl", "fragment", "later", "fragment_id", "flags", "seq", "ack", "stream", "icmp",
        "retransmission", "out_of_order", "rtt", "below",
    )


def link_layers(protocols):
    """The layers below the first IP header and its version (None: no IP)."""
    below = []
    for layer in protocols.split(":"):
        if layer == "ip":
            return below, 4
        if layer == "ipv6":
            return below, 6
        below.append(layer)
    return below, None


def packet(row):
    """The packet of a row; None when the frame has no readable IP header."""
    below, version = link_layers(row("frame.protocols") or "")
    if version is None:
        return None
    p = Packet()
    p.below = below
    p.frame = int(row("frame.number"))
    p.time = float(row("frame.time_epoch"))
    read = ipv4 if version == 4 else ipv6
    if not read(row, p):
        return None
    p.sport = p.dport = 0
    p.flags = p.stream = p.icmp = p.rtt = None
    p.seq = p.ack = 0
    p.retransmission = p.out_of_order = False
    if not p.later:
        transport(row, p)
    return p


def ipv4(row, p):
    if row("ip.src") is None or row("ip.dst") is None or row("ip.len") is None:
        return False
    p.src, p.dst = address(row("ip.src")), address(row("ip.dst"))
    p.protocol = number(row("ip.proto"))
    p.bytes = number(row("ip.len"))
    p.ttl = number(row("ip.ttl"))
    offset = number(row("ip.frag_offset") or "0")
    more = row("ip.flags.mf") in ("1", "True")
    p.later = offset > 0
    p.fragment = p.later or more
    p.fragment_id = (p.src, p.dst, p.protocol, number(row("ip.id") or "0"))
    return True


def ipv6(row, p):
    if row("ipv6.src") is None or row("ipv6.dst") is None or row("ipv6.plen") is None:
        return False
    p.src, p.dst = address(row("ipv6.src")), address(row("ipv6.dst"))
    p.ttl = number(row("ipv6.hlim"))
    payload = number(row("ipv6.plen"))
    if payload == 0 and row("ipv6.opt.jumbo"):
        payload = number(row("ipv6.opt.jumbo"))
    p.bytes = 40 + payload
    p.later = p.fragment = False
    p.fragment_id = None
    protocol = number(row("ipv6.nxt"))
    left = {field: iter(row.all(field)) for field in EXTENSIONS.values()}
    while protocol in EXTENSIONS:
        following = next(left[EXTENSIONS[protocol]], None)
        if following is None:
            break
        fragment = protocol == 44 and not p.fragment
        protocol = number(following)
        if fragment:
            offset = number(row("ipv6.fraghdr.offset"))
            more = row("ipv6.fraghdr.more") in ("1", "True")
            # A fragment that is the whole packet (RFC 6946) is not one.
            p.later = offset > 0
            p.fragment = p.later or more
            p.fragment_id = (p.src, p.dst, 6, number(row("ipv6.fraghdr.ident")))
            if p.later:
                break
    p.protocol = protocol
    return True


def transport(row, p):
    name = PORT_FIELDS.get(p.protocol)
    if name:
        sport, dport = row(name + ".srcport"), row(name + ".dstport")
        if sport is not None and dport is not None:
            p.sport, p.dport = number(sport), number(dport)
    if p.protocol == TCP:
        if row("tcp.flags"):
            p.flags = number(row("tcp.flags")) & 0xFF
        if row("tcp.seq_raw") and row("tcp.ack_raw"):
            p.seq, p.ack = number(row("tcp.seq_raw")), number(row("tcp.ack_raw"))
        if row("tcp.stream"):
            p.stream = number(row("tcp.stream"))
        p.retransmission = any(
            row("tcp.analysis." + kind)
            for kind in ("retransmission", "fast_retransmission", "spurious_retransmission")
        )
        p.out_of_order = bool(row("tcp.analysis.out_of_order"))
        if row("tcp.analysis.initial_rtt"):
            p.rtt = float(row("tcp.analysis.initial_rtt"))
    elif p.protocol in (ICMP, ICMPV6):
        name = "icmp" if p.protocol == ICMP else "icmpv6"
        if row(name + ".type") and row(name + ".code"):
            p.icmp = number(row(name + ".type")) * 256 + number(row(name + ".code"))


class Flow:
    """Everything under one unordered 5-tuple; [0] is from its first end."""

    def __init__(self):
        self.packets = [0, 0]
        self.bytes = [0, 0]
        self.fragments = [0, 0]
        self.flags = [0, 0]
        self.first = self.last = None
        self.ttl = [255, 0]
        self.icmp = None
        self.streams = []
        self.streamless = 0
        self.frames = []

    def add(self, p, way, frames):
        self.packets[way] += 1
        self.bytes[way] += p.bytes
        self.fragments[way] += p.fragment
        self.flags[way] |= p.flags or 0
        self.first = p.time if self.first is None else min(self.first, p.time)
        self.last = p.time if self.last is None else max(self.last, p.time)
        self.ttl = [min(self.ttl[0], p.ttl), max(self.ttl[1], p.ttl)]
        if self.icmp is None:
            self.icmp = p.icmp
        if frames:
            self.frames.append((p.frame, way, p.bytes))


class Stream:
    """One of tshark's TCP streams; [0] is from the first end of its 5-tuple."""

    def __init__(self):
        self.packets = 0
        self.syn = [0, 0]
        self.synack = [0, 0]
        self.handshake = None  # the client's side, once all three were seen
        self.shake = []  # (way, seq, time) of SYN, SYN/ACK, ACK as far as seen
        self.rtt = None
        self.retransmissions = [0, 0]
        self.out_of_order = [0, 0]
        self.frames = []

    def add(self, p, way, frames):
        self.packets += 1
        flags = p.flags or 0
        if flags & SYN:
            (self.synack if flags & ACK else self.syn)[way] += 1
        self.greet(p, way, flags)
        if p.rtt is not None and self.rtt is None:
            self.rtt = p.rtt
        self.retransmissions[way] += p.retransmission
        self.out_of_order[way] += p.out_of_order
        if frames and (p.retransmission or p.out_of_order):
            kind = "out of order" if p.out_of_order else "retransmission"
            self.frames.append((p.frame, way, kind))

    def greet(self, p, way, flags):
        """The three packets of a handshake, each acknowledging the one before
        (a SYN may carry data, RFC 7413)."""
        if flags & SYN and not flags & ACK:
            if len(self.shake) < 2:
                self.shake = [(way, p.seq, p.time)]
            return
        if not flags & ACK or len(self.shake) not in (1, 2):
            return
        other, seq, _ = self.shake[-1]
        if way == other or (p.ack - seq - 1) % (1 << 32) > 65535:
            return
        if len(self.shake) == 1 and flags & SYN or len(self.shake) == 2 and not flags & SYN:
            self.shake.append((way, p.seq, p.time))
        if len(self.shake) == 3:
            self.handshake = way


def summarise(rows, frames=False):
    """The oracle's whole answer, as JSON would hold it."""
    flows, streams, layers = {}, {}, {}
    firsts = {}  # fragment id -> (protocol, sport, dport) of the first fragment
    waiting = {}  # fragment id -> later fragments met before their first
    count = {"frames": 0, "ip": 0, "no_ip_header": 0, "orphans": 0, "early": 0}
    for row in rows:
        count["frames"] += 1
        p = packet(row)
        if p is None:
            if link_layers(row("frame.protocols") or "")[1]:
                count["no_ip_header"] += 1
            continue
        stack = ":".join(p.below)
        layers[stack] = layers.get(stack, 0) + 1
        count["ip"] += 1
        if p.later:
            first = firsts.get(p.fragment_id)
            if first:
                p.protocol, p.sport, p.dport = first
            else:
                count["orphans"] += 1
                waiting[p.fragment_id] = waiting.get(p.fragment_id, 0) + 1
        elif p.fragment:
            firsts[p.fragment_id] = (p.protocol, p.sport, p.dport)
            count["early"] += waiting.pop(p.fragment_id, 0)
        tuple5, forward = key(p.src, p.sport, p.dst, p.dport, p.protocol)
        way = 0 if forward else 1
        flow = flows.setdefault(tuple5, Flow())
        flow.add(p, way, frames)
        if p.stream is not None:
            if p.stream not in flow.streams:
                flow.streams.append(p.stream)
            streams.setdefault(p.stream, Stream()).add(p, way, frames)
        elif p.protocol == TCP:
            flow.streamless += 1
    return {
        "version": VERSION,
        "count": count,
        "layers": layers,
        "flows": [
            dict(vars(flow), key=[list(k[0]), list(k[1]), k[2]])
            for k, flow in flows.items()
        ],
        "streams": {str(k): vars(stream) for k, stream in streams.items()},
    }


def run_tshark(capture, extra=()):
    """Rows of a capture; raises Unreadable when tshark cannot open it."""
    command = ["tshark", "-n", "-r", str(capture), *OPTIONS, *extra, "-T", "fields"]
    command += ["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace",
        env=environment(), timeout=600, check=False,
    )
    complaint = [
        line for line in done.stderr.splitlines()
        if line.startswith("tshark:") or "Error" in line
    ]
    rows = [Row(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 and not rows:
        raise Unreadable(complaint[0] if complaint else f"tshark: exit {done.returncode}")
    return rows, (complaint[0] if done.returncode != 0 and complaint else None)


class Unreadable(Exception):
    """tshark does not open this file."""


@lru_cache(maxsize=1)
def environment():
    """No user preferences, no locale, UTC: the same answer everywhere."""
    home = cache_folder() / "home"
    home.mkdir(parents=True, exist_ok=True)
    plain = {k: v for k, v in os.environ.items() if not k.startswith("WIRESHARK")}
    return dict(plain, HOME=str(home), XDG_CONFIG_HOME=str(home), LC_ALL="C.UTF-8", TZ="UTC")


@lru_cache(maxsize=1)
def tshark_version():
    done = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n", 1)[0].strip()


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()
    return pathlib.Path(base) / "flowsonde-conformance"


def consult(capture, frames=False, cached=True):
    """The answer for a capture: {"flows": ..., "streams": ..., ...} or
    {"unreadable": reason}. With `frames`, frame numbers are kept (no cache)."""
    if frames or not cached:
        return fresh(capture, frames)
    digest = hashlib.sha256(pathlib.Path(capture).read_bytes())
    digest.update(f"{VERSION} {tshark_version()} {FIELDS} {OPTIONS}".encode())
    place = cache_folder() / "oracle" / (digest.hexdigest() + ".json")
    try:
        return json.loads(place.read_text())
    except (OSError, ValueError):
        answer = fresh(capture, False)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}.{id(answer)}.part")
    part.write_text(json.dumps(answer))
    part.replace(place)
    return answer


def fresh(capture, frames):
    try:
        rows, cut = run_tshark(capture)
    except Unreadable as reason:
        return {"version": VERSION, "unreadable": str(reason).replace(str(capture), "it")}
    answer = summarise(rows, frames)
    answer["cut"] = cut.replace(str(capture), "it") if cut else None
    return json.loads(json.dumps(answer))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: oracle.py CAPTURE...   prints the oracle's answer as JSON")
    for name in sys.argv[1:]:
        print(json.dumps(consult(name, frames=True), indent=1))
