#!/usr/bin/env python3
"""TCP and UDP with IPv4 options set by the kernel at the asking of a socket.
Argument: the address of the server."""
import socket, sys, time
NOP_RR = bytes([1, 7, 15, 4] + [0] * 12)                    # no-op, record route for 3
ALERT = bytes([148, 4, 0, 0])
c = socket.socket()
c.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, NOP_RR)
c.connect((sys.argv[1], 7007))
c.sendall(b"hello behind options")
c.recv(100)
c.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, ALERT)
u.sendto(b"router alert", (sys.argv[1], 7996))
time.sleep(0.3)
