#!/usr/bin/env python3
"""Reads every capture of this folder with tshark, writes truths.json and prints
README.md. What a capture is of stands in ABOUT; the numbers come from tshark."""
import json, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ACC, WAN = 4, 20  # ms, as in demo/lab.sh

LAB = f"""RTT client-sensor {ACC} ms, sensor-server {WAN} ms"""
ABOUT = {
    "http-latency": ("curl to nginx before a Python application",
        "3 connections, 5 requests: think time 150 ms, 300 ms and a static file on the first connection (keep-alive), "
        "150 ms on the second, a POST of 20 000 bytes on the third. Seen at the sensor, request to "
        "answer is think time + 20 ms + a few ms of nginx and Python, at the client another 4 ms"),
    "tls": ("curl to nginx",
        "5 connections: TLS 1.3 with HTTP/2; TLS 1.2 with HTTP/1.1; TLS 1.2 to old.example.test:8443; a client that "
        "refuses the certificate (alert unknown CA); a client that wants 1.3 only of a 1.2 server (alert protocol "
        "version); both alerts in clear. SNI www.example.test and old.example.test"),
    "dns-udp-tcp": ("dig to unbound",
        "12 runs of dig: 9 over UDP and IPv4 (A, AAAA, MX, NXDOMAIN, CNAME, SRV, PTR, REFUSED, and a TXT that is cut short and asked "
        "again over TCP), 2 over TCP (IPv4, IPv6), 1 over UDP and IPv6: 13 questions, 10 by UDP and 3 by TCP"),
    "ssh": ("OpenSSH client and server", "2 connections: a command, and scp of 20 000 random bytes to the server"),
    "sip-rtp": ("sipp, both ends",
        "one call: INVITE, 180 about 0 ms and 200 about 400 ms later, ACK, A-law both ways for 2 s between the "
        "ports in the SDP (6000, 6000), BYE by the caller. sipp gives both directions the same SSRC, 0xCA110000. No packet lost"),
    "rtsp-udp": ("ffmpeg as client of a GStreamer RTSP server",
        "about 3 s of H.264 (payload type 96) and A-law (8) from the camera 203.0.113.54 to 192.0.2.40 with RTCP over UDP, the ports negotiated in SETUP. ffmpeg first sends an empty RTP packet (SSRC 0) to each port, as it does to open firewalls. No packet lost"),
    "rtsp-tcp": ("ffmpeg as client of a GStreamer RTSP server", "the same interleaved in the RTSP connection"),
    "netem-loss": ("Python sockets through a link that loses and reorders (demo/link.py, seeded)",
        "2 connections, MSS 536: 60 000 bytes to the client, 40 000 to the server, every byte delivered. The link "
        "between sensor and server lost or held back frames of 200 bytes or more, what exactly is in netem-loss.json "
        "(ab: client to server, lost after the sensor; ba: server to client, lost before the sensor)"),
    "keepalive": ("Python socket with SO_KEEPALIVE, idle 1 s, interval 1 s",
        "1 connection, silent for 5.5 s: 5 keep-alives by the client, each answered; then it goes on and closes"),
    "zero-window": ("Python socket with a small receive buffer",
        "1 connection, 60 000 bytes to the client, which does not read for 2.5 s: window closes, the server probes it (tshark says keep-alive), it opens again, all delivered"),
    "reset": ("Python sockets", "3 connections: reset by the server in the middle, reset by the client, refused (SYN answered by RST)"),
    "half-open": ("Python sockets",
        "3 connections: the server forgot it (later data answered by RST); SYN never answered (4 SYNs); "
        "one that works and never is closed on the wire"),
    "scan": ("nmap -sS of 400 ports, then -sU of 8 ports", "SYN scan of ports 1 to 400 of 203.0.113.7, all closed (one SYN and one RST "
        "each); UDP scan of 203.0.113.53: port 53 open, 7 closed (port unreachable)"),
    "fragments": ("ping",
        "10 echo requests: 3 of 4000 bytes over IPv4 and 3 over IPv6 in order, then 2 and 2 of 6000 bytes over a link "
        "that holds back 40 % of the fragments 3 ms (out of order). All answered"),
    "icmp": ("ping and Python sockets",
        "3 + 3 echoes answered; port unreachable (IPv4, IPv6); administratively prohibited; host unreachable; "
        "time exceeded (IPv4, IPv6); fragmentation needed, MTU 1280; packet too big, MTU 1280; an IPv6 neighbour that is not there"),
    "ipv4-options": ("ping, traceroute, Python sockets",
        "2 pings with record route, 2 with timestamps, traceroute -I with a loose source route, 1 TCP connection with no-op and record route, "
        "a UDP datagram with router alert"),
    "ipv6-exthdr": ("Python sockets with RFC 3542 options (tests/captures/exthdr.py)",
        "UDP behind hop-by-hop, destination options, both, and both with a fragment header; a TCP connection of which every packet of the client "
        "has both. The last request is built by the script: UDP behind an Authentication Header, refused by the server's kernel"),
    "vlan": ("@802.1Q tag 10", None), "qinq": ("@802.1ad tag 100 with 802.1Q tag 10", None),
    "mpls": ("@two MPLS labels, 1000 and 2000", None),
    "pppoe": ("@PPPoE with PPP: discovery, LCP, IPCP, IPV6CP, session 0x0042, termination", None),
    "gre": ("@GRE over IPv4, first without key, then with key 42 and sequence numbers (the talk happens twice)", None),
    "gre-v6": ("@GRE over IPv6", None), "gre-teb": ("@GRE with Ethernet inside", None),
    "ipip": ("@IPv4 and IPv6 in IPv4 (protocols 4 and 41)", None),
    "esp": ("@ESP in tunnel mode, AES-CBC-128 with HMAC-SHA1-96, keys thrown away; two security associations", None),
    "vxlan": ("VXLAN of the kernel, VNI 77, port 4789", "inside: {talk}"),
    "sctp": ("client and echo_server of usrsctp (SCTP in user space)",
        "2 associations: one address at each end, port 5001, 20 messages of 300 bytes to the server; then port 7, multi-homed over IPv4 and IPv6 (the server answers from another address than it was called on), 5 messages to the server, each sent back; both end by SHUTDOWN"),
    "sll": ("tcpdump -i any -y LINUX_SLL at the client", "1 HTTP request, 1 DNS question over IPv6, 1 ping on the loopback"),
    "sll2": ("tcpdump -i any -y LINUX_SLL2 at the client", "the same"),
    "loop-lo": ("tcpdump -i lo at the server",
        "curl to the application on 127.0.0.1:9000, think time 100 ms; a ping of ::1. Link type Ethernet with zero addresses; "
        "the kernel does not compute transport checksums on lo, so they are wrong"),
    "raw": ("tcpdump on a TUN interface", "raw IP: {talk}"),
    "null": ("raw.pcap rewritten by relink.py", "link type 0 (BSD loopback), little-endian families 2 and 30"),
    "loop": ("raw.pcap rewritten by relink.py", "link type 108 (OpenBSD loopback), big-endian families 2 and 24"),
    "swapped": ("raw.pcap rewritten by relink.py", "the same packets in a big-endian file"),
    "nano": ("tcpdump --time-stamp-precision=nano", "3 pings, 1 HTTP request with think time 50 ms"),
}
TALK = "2 pings over IPv4, 2 over IPv6, 1 TCP connection with two HTTP requests (think time 50 ms; POST of 1000 bytes)"
COUNTS = {
    "tcp_packets": "tcp && !icmp && !icmpv6", "syn": "tcp.flags.syn==1 && tcp.flags.ack==0", "rst": "tcp.flags.reset==1",
    "retransmission": "tcp.analysis.retransmission", "fast_retransmission": "tcp.analysis.fast_retransmission",
    "spurious": "tcp.analysis.spurious_retransmission", "out_of_order": "tcp.analysis.out_of_order",
    "lost_segment": "tcp.analysis.lost_segment", "duplicate_ack": "tcp.analysis.duplicate_ack",
    "zero_window": "tcp.analysis.zero_window", "keep_alive": "tcp.analysis.keep_alive",
    "malformed": "_ws.malformed",
    "fragments": "ip.flags.mf==1 || ip.frag_offset>0 || ipv6.fraghdr",
}


def tshark(path, *a):
    return subprocess.run(["tshark", "-n", "-r", path, "-o", "tcp.relative_sequence_numbers:true", *a],
                          capture_output=True, text=True).stdout


def truths(path):
    info = subprocess.run(["capinfos", "-M", "-E", "-c", "-s", "-d", "-u", path], capture_output=True, text=True).stdout
    get = lambda k: re.search(k + r":\s*(.+)", info).group(1).strip()
    t = {"link": get("File encapsulation"), "packets": int(get("Number of packets").split()[0]),
         "wire_bytes": int(get("Data size").split()[0]), "file_bytes": os.path.getsize(path),
         "seconds": round(float(get("Capture duration").split()[0]), 3)}
    streams = {int(x) for line in tshark(path, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-e", "tcp.stream").split()
               for x in line.split(",")}
    t["tcp_streams"] = len(streams)
    for k, f in COUNTS.items():
        n = len(tshark(path, "-Y", f, "-T", "fields", "-e", "frame.number").split())
        if n or k == "malformed":
            t[k] = n
    rtt = [float(x) * 1000 for x in tshark(path, "-Y", "tcp.flags.syn==0 && tcp.analysis.initial_rtt", "-T", "fields",
                                           "-e", "tcp.stream", "-e", "tcp.analysis.initial_rtt").split()[1::2]]
    if rtt:
        t["initial_rtt_ms"] = [round(min(rtt), 1), round(max(rtt), 1)]
    http = [round(float(x) * 1000, 1) for x in tshark(path, "-Y", "http.time", "-T", "fields", "-e", "http.time").split()]
    if http:
        t["http_time_ms"] = http
    rtp = []
    for line in tshark(path, "-q", "-z", "rtp,streams").split("\n"):
        w = line.split()
        if len(w) > 9 and w[6].startswith("0x"):
            rtp.append({"src": f"{w[2]}:{w[3]}", "dst": f"{w[4]}:{w[5]}", "ssrc": w[6], "payload": w[7],
                        "packets": int(w[8]),
                        # several RTP packets in one segment can make tshark count below zero
                        "lost": int(w[9]) if int(w[9]) < 32768 else 0})
    if rtp:
        t["rtp"] = rtp
    protos = set()
    for line in tshark(path, "-T", "fields", "-e", "frame.protocols").split():
        protos.update(line.split(":"))
    t["protocols"] = sorted(protos - {"ethertype", "text"})
    return t


def main():
    files = sorted(f[:-5] for f in os.listdir(HERE) if f.endswith(".pcap"))
    all_of = {f: truths(os.path.join(HERE, f + ".pcap")) for f in files}
    with open(os.path.join(HERE, "truths.json"), "w") as f:
        json.dump(all_of, f, indent=1)
        f.write("\n")
    print(f"""# Test captures

Recorded by `tests/captures/record` (root, Debian packages as it says) from real
programs in the network namespaces of `demo/lab.sh`; nothing here comes from
elsewhere. This file is written by `describe_captures.py`, do not edit it.

Unless said otherwise a capture is taken by tcpdump at the sensor, between
client (192.0.2.10, 2001:db8:c::10) and server (203.0.113.0/24, 2001:db8:5::/64),
on Ethernet, with full packets, offloads off and checksums right.
{LAB} ({ACC + WAN} ms end to end), made by `demo/link.py` in user
space: the recording kernel has no netem. It has no VLAN, MPLS, PPPoE, GRE,
IP-in-IP or IPsec driver and no SCTP either. Where those are shown, real programs talk over a
TAP or TUN interface, and `demo/tunnel.py` puts the headers on and takes them
off; SCTP comes from usrsctp. What a script built without a program talking
is said to be built.

"The talk" is: {TALK}.
""")
    for f in files:
        t = all_of[f]
        who, what = ABOUT.get(f, ("?", "?"))
        if who.startswith("@"):
            who, what = "the talk over demo/tunnel.py: " + who[1:], "inside: {talk}"
            if f == "gre":
                what = "inside: {talk}, twice"
        what = what.replace("{talk}", "the talk")
        n = ", ".join(f"{t[k]} {k.replace('_', ' ')}" for k in ("syn", "rst", "retransmission", "fast_retransmission", "spurious",
            "out_of_order", "lost_segment", "duplicate_ack", "zero_window", "keep_alive", "fragments", "malformed") if t.get(k))
        print(f"- **{f}.pcap**: {who}. {what[0].upper() + what[1:]}.  \n"
              f"  tshark: {t['packets']} packets, {t['link']}, {t['tcp_streams']} TCP streams" + (f", {n}" if n else "") + "."
              + (f" http.time {', '.join(str(x) for x in t['http_time_ms'])} ms." if "http_time_ms" in t else "")
              + (" RTP: " + ", ".join(f"{r['packets']} packets {r['src']} to {r['dst']} ({r['payload']}, {r['ssrc']}, lost {r['lost']})"
                                      for r in t["rtp"]) + "." if "rtp" in t else ""))
    if os.path.exists(os.path.join(HERE, "netem-loss.json")):
        d = json.load(open(os.path.join(HERE, "netem-loss.json")))
        print("\nnetem-loss.json: what the link did on purpose.\n")
        for k, name in (("ab", "client to server"), ("ba", "server to client")):
            n = d[k]
            print(f"- {name}: {n['passed']} frames passed, {n['dropped']} lost, {n['reordered']} held back {d['hold_ms']:g} ms.")
        print("\nWhat is lost after the sensor is seen twice there (a retransmission). What is lost before the sensor is seen once and late:\n"
              "tshark calls it out of order or a fast retransmission, after a lost segment. What is held back before the sensor is out of order.")
    version = subprocess.run(["tshark", "-v"], capture_output=True, text=True).stdout.split("\n")[0].split(" (Git")[0].rstrip(".")
    print(f"\nCounts by {version.split(' (Git')[0]}, names as in `tcp.analysis.*`; `truths.json` has them for programs.\n"
          "A retransmission in tshark's count includes fast and spurious ones. ICMP messages that quote TCP are not counted as TCP.")


if __name__ == "__main__":
    main()
