#!/usr/bin/env python3
"""Rewrites the end of README.md, from the marker on, with what tshark counts in
a capture: describe.py CAPTURE LINK-REPORT README. Used by `record`."""
import json, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "captures"))
sys.dont_write_bytecode = True
from describe_captures import truths, tshark

MARK = "<!-- from here on written by describe.py -->"


def filtered(path, f):
    return len(tshark(path, "-Y", f, "-T", "fields", "-e", "frame.number").split())


capture, report, readme = sys.argv[1:]
t = truths(capture)
t.pop("file_bytes")
text = open(readme).read().split(MARK)[0].rstrip() + f"\n\n{MARK}\n\n## Counted by tshark\n\n"
rows = [("packets", t["packets"]), ("bytes on the wire", t["wire_bytes"]), ("seconds", t["seconds"]),
        ("TCP streams, the scan's 1000 among them", t["tcp_streams"])]
rows += [(k.replace("_", " "), t[k]) for k in ("syn", "rst", "retransmission", "fast_retransmission", "spurious", "out_of_order",
         "lost_segment", "duplicate_ack", "zero_window", "keep_alive", "fragments", "malformed") if k in t]
rows += [(f"`{f}`", filtered(capture, f)) for f in ("http.request", "http.response.code==404", "tls.handshake.type==1", "dns.flags.response==0 && !icmp",
         "ssh", "sip", "rtp", "rtcp", "rtsp.request", "icmp", "icmpv6", "arp", "vlan", "ieee8021ad", "mpls", "pppoes", "gre", "esp", "vxlan", "sctp")]
text += "| what | how many |\n|---|---|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows)
names = sorted({x for line in tshark(capture, "-Y", "tls.handshake.extensions_server_name", "-T", "fields",
                                     "-e", "tls.handshake.extensions_server_name").split() for x in line.split(",")})
asked = sorted({x for line in tshark(capture, "-Y", "dns.flags.response==0 && !icmp", "-T", "fields", "-e", "dns.qry.name").split()
                for x in line.split(",")})
text += f"\nServer names in TLS: {', '.join(names)}.\n\nNames asked of the resolver: {', '.join(asked)}.\n\nRTP:\n\n"
text += "".join(f"- {r['src']} to {r['dst']}, {r['payload']}, SSRC {r['ssrc']}: {r['packets']} packets, lost {r['lost']}\n" for r in t.get("rtp", []))
text += f"\nhttp.time (ms): {', '.join(str(x) for x in t.get('http_time_ms', []))}.\n"
d = json.load(open(report))
text += "\nThe losing link, what it did on purpose:\n\n"
for k, name in (("ab", "client to server, lost after the sensor"), ("ba", "server to client, lost before the sensor")):
    text += f"- {name}: {d[k]['passed']} frames passed, {d[k]['dropped']} lost, {d[k]['reordered']} held back {d['hold_ms']:g} ms\n"
open(readme, "w").write(text)
