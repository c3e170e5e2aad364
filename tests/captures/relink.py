#!/usr/bin/env python3
"""Writes a raw IP capture again with another header, for link types that Linux
does not record: relink.py null|loop|swapped IN OUT.

  null     BSD loopback (0): address family, little-endian; IPv6 is 30 as on macOS
  loop     OpenBSD loopback (108): address family, big-endian; IPv6 is 24
  swapped  the same packets and link type in a big-endian file
"""
import struct, sys
kind, src, dst = sys.argv[1:]
b = open(src, "rb").read()
magic, major, minor, _, _, snap, link = struct.unpack("<IHHIIII", b[:24])
assert magic == 0xA1B2C3D4, "expected a little-endian microsecond capture"
order = ">" if kind == "swapped" else "<"
out = [struct.pack(order + "IHHIIII", magic, major, minor, 0, 0, snap, {"null": 0, "loop": 108}.get(kind, link))]
at = 24
while at < len(b):
    sec, usec, cap, size = struct.unpack("<IIII", b[at:at + 16])
    p = b[at + 16:at + 16 + cap]
    at += 16 + cap
    v6 = p[0] >> 4 == 6
    head = {"null": struct.pack("<I", 30 if v6 else 2), "loop": struct.pack(">I", 24 if v6 else 2)}.get(kind, b"")
    out.append(struct.pack(order + "IIII", sec, usec, cap + len(head), size + len(head)) + head + p)
open(dst, "wb").write(b"".join(out))
