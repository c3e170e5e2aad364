#!/usr/bin/env python3
"""IPv6 extension headers put on by the kernel at the asking of real sockets
(RFC 3542), and one Authentication Header built here, as the last packet.
Argument: the address of the server (UDP echo on 7100 is `exthdr.py serve`)."""
import os, socket, struct, sys, time
HOPOPTS, RTHDR, DSTOPTS, RTHDRDSTOPTS = 54, 57, 59, 55
V6 = socket.IPPROTO_IPV6
ALERT = bytes([0, 0, 5, 2, 0, 0, 1, 0])                      # router alert, PadN
PAD = bytes([0, 1, 0x1E, 6, 1, 2, 3, 4, 5, 6, 1, 4, 0, 0, 0, 0])      # experiment and PadN: 16 octets
UNKNOWN = bytes([0, 0, 0x1E, 4, 1, 2, 3, 4])                 # RFC 4727 experiment, "skip if unknown"

addr = sys.argv[2] if sys.argv[1] == "serve" else sys.argv[1]
if sys.argv[1] == "serve":
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind((addr, 7100))
    while True:
        d, who = s.recvfrom(65536)
        s.sendto(d[:100], who)


def udp(opts, size=20):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for k, v in opts:
        s.setsockopt(V6, k, v)
    s.settimeout(2)
    s.sendto(b"u" * size, (addr, 7100))
    try:
        s.recv(200)
    except OSError as e:
        print("no answer", e)


udp([(HOPOPTS, ALERT)])
udp([(DSTOPTS, PAD)])
udp([(HOPOPTS, UNKNOWN), (DSTOPTS, UNKNOWN)])
udp([(HOPOPTS, ALERT), (DSTOPTS, PAD)], 3000)                # with a fragment header
c = socket.socket(socket.AF_INET6)
c.setsockopt(V6, HOPOPTS, ALERT)
c.setsockopt(V6, DSTOPTS, PAD)
c.connect((addr, 7007))
c.sendall(b"hello behind two headers")
c.recv(100)
me = c.getsockname()[0]
c.close()
time.sleep(0.2)
# The server's kernel knows no AH and says so. The integrity value is noise.
body = struct.pack("!HHHH", 40000, 7100, 12, 0) + b"auth"
pseudo = socket.inet_pton(socket.AF_INET6, me) + socket.inet_pton(socket.AF_INET6, addr) + struct.pack("!II", 12, 17)
total = sum(struct.unpack(f"!{(len(pseudo) + 12) // 2}H", pseudo + body))
while total >> 16:
    total = (total & 0xFFFF) + (total >> 16)
body = body[:6] + struct.pack("!H", 0xFFFF - total or 0xFFFF) + body[8:]
r = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 51)
r.sendto(struct.pack("!BBHII", 17, 4, 0, 0x100, 1) + os.urandom(12) + body, (addr, 0))
time.sleep(0.3)
