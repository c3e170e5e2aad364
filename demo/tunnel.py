#!/usr/bin/env python3
"""One end of a tunnel or tagged link, for kernels without the driver for it.
It opens a TAP or TUN interface; what the kernel and real programs send there
is wrapped and sent on, what arrives wrapped is handed to the interface.

  vlan, qinq, teb   Ethernet inside: 802.1Q, 802.1ad + 802.1Q, GRE with Ethernet
  gre, ipip, esp    IP inside, carried by IPv4 or IPv6 between --local and --peer
  mpls, pppoe       IP inside, carried by Ethernet on --dev to --peer-mac
  tun               nothing is wrapped: UDP to the peer (for a raw IP capture)

PPPoE does its discovery, LCP, IPCP, IPV6CP and termination, without
authentication. ESP is tunnel mode, AES-CBC-128 with HMAC-SHA1-96, the keys
come from the environment (ESP_KEY, hexadecimal) and are forgotten.
"""
import argparse, fcntl, os, select, signal, socket, struct, subprocess, sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA = 0x0003, 263, 8
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40

ap = argparse.ArgumentParser()
ap.add_argument("mode")
ap.add_argument("name", help="the interface to make")
ap.add_argument("--addr", action="append", default=[])
ap.add_argument("--mtu", default="1400")
ap.add_argument("--mac"), ap.add_argument("--dev"), ap.add_argument("--peer-mac")
ap.add_argument("--local"), ap.add_argument("--peer")
ap.add_argument("--id", type=int, action="append", default=[], help="VLAN id or MPLS label, outer first")
ap.add_argument("--key", type=int, help="GRE key; a GRE sequence number goes with it")
ap.add_argument("--server", action="store_true", help="the PPPoE access concentrator")
o = ap.parse_args()

L2 = o.mode in ("vlan", "qinq", "teb")
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", o.name.encode(), (2 if L2 else 1) | 0x1000))


def ip(*a):
    subprocess.run(["ip", *a], check=True)


if o.mac:
    ip("link", "set", o.name, "address", o.mac)
ip("link", "set", o.name, "mtu", o.mtu, "up")
for a in o.addr:
    ip("addr", "add", a, "dev", o.name, *(["nodad"] if ":" in a else []))


def mac(s):
    return bytes.fromhex(s.replace(":", ""))


def ether_socket():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((o.dev, ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(SOL_PACKET, 1, struct.pack("IHH8s", socket.if_nametoindex(o.dev), 1, 0, b""))
    return s


def ether_recv(s):
    data, anc, _, addr = s.recvmsg(65600, 64)
    if addr[2] == socket.PACKET_OUTGOING:
        return b""
    for level, kind, body in anc:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", body[:20])
            if status & VLAN_VALID:
                tpid = tpid if status & VLAN_TPID_VALID else 0x8100
                data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


def raw_ip(proto):
    """A raw IP socket to the peer: send(payload), recv() -> payload."""
    v6 = ":" in o.peer
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, proto)
    s.bind((o.local, 0))
    s.connect((o.peer, 0))

    def recv():
        p = s.recv(65600)
        return p if v6 else p[(p[0] & 15) * 4:]
    return s, s.send, recv


def ethertype_of(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def none(*_):
    pass


bye = none
if o.mode in ("vlan", "qinq"):
    link = ether_socket()
    tpids = [0x8100] if o.mode == "vlan" else [0x88A8, 0x8100]
    tag = b"".join(struct.pack("!HH", t, i) for t, i in zip(tpids, o.id))

    def out(f):
        link.send(f[:12] + tag + f[12:])

    def into():
        f = ether_recv(link)
        return f[:12] + f[12 + len(tag):] if f[12:12 + len(tag)] == tag else b""
elif o.mode in ("gre", "teb"):
    link, put, get = raw_ip(47)
    seq = 0

    def out(p):
        global seq
        t = 0x6558 if L2 else ethertype_of(p)
        if o.key is None:
            put(struct.pack("!HH", 0, t) + p)
        else:
            put(struct.pack("!HHII", 0x3000, t, o.key, seq) + p)
            seq += 1

    def into():
        p = get()
        flags = struct.unpack("!H", p[:2])[0]
        if bool(flags & 0x2000) != (o.key is not None):
            return b""
        return p[4 + (4 if flags & 0x2000 else 0) + (4 if flags & 0x1000 else 0):]
elif o.mode == "ipip":
    link, put, get = raw_ip(4)
    link6, put6, get6 = raw_ip(41)

    def out(p):
        (put6 if p[0] >> 4 == 6 else put)(p)

    def into():
        return get()
elif o.mode == "esp":
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    import hashlib, hmac
    secret = bytes.fromhex(os.environ["ESP_KEY"])
    enc_key, mac_key = secret[:16], secret[16:36]
    link, put, get = raw_ip(50)
    spi = struct.unpack("!I", hashlib.sha256(o.local.encode()).digest()[:4])[0] | 0x1000
    seq = 0

    def out(p):
        global seq
        seq += 1
        pad = -(len(p) + 2) % 16
        plain = p + bytes(range(1, pad + 1)) + bytes([pad, 41 if p[0] >> 4 == 6 else 4])
        iv = os.urandom(16)
        e = Cipher(algorithms.AES(enc_key), modes.CBC(iv)).encryptor()
        body = struct.pack("!II", spi, seq) + iv + e.update(plain) + e.finalize()
        put(body + hmac.new(mac_key, body, hashlib.sha1).digest()[:12])

    def into():
        p = get()
        if hmac.new(mac_key, p[:-12], hashlib.sha1).digest()[:12] != p[-12:]:
            return b""
        d = Cipher(algorithms.AES(enc_key), modes.CBC(p[8:24])).decryptor()
        plain = d.update(p[24:-12]) + d.finalize()
        return plain[:-2 - plain[-2]]
elif o.mode == "mpls":
    link = ether_socket()
    head = mac(o.peer_mac) + link.getsockname()[4] + b"\x88\x47"
    stack = b"".join(struct.pack("!I", l << 12 | (0x100 if n == len(o.id) - 1 else 0) | 64)
                     for n, l in enumerate(o.id))

    def out(p):
        link.send((head + stack + p).ljust(60, b"\0"))

    def into():
        f = ether_recv(link)
        if f[12:14] != b"\x88\x47":
            return b""
        at = 14
        while not f[at + 2] & 1:
            at += 4
        p = f[at + 4:]
        size = struct.unpack("!H", p[4:6])[0] + 40 if p[0] >> 4 == 6 else struct.unpack("!H", p[2:4])[0]
        return p[:size]
elif o.mode == "pppoe":
    link = ether_socket()
    me, broadcast = link.getsockname()[4], b"\xff" * 6
    sid, other, ready = 0, broadcast, set()
    magic = os.urandom(4)

    def tags(*t):
        return b"".join(struct.pack("!HH", k, len(v)) + v for k, v in t)

    def disc(dst, code, payload, session=0):
        link.send((dst + me + struct.pack("!HBBHH", 0x8863, 0x11, code, session, len(payload)) + payload).ljust(60, b"\0"))

    def sess(proto, payload):
        payload = struct.pack("!H", proto) + payload
        link.send((other + me + struct.pack("!HBBHH", 0x8864, 0x11, 0, sid, len(payload)) + payload).ljust(60, b"\0"))

    def control(proto, code, ident, body=b""):
        sess(proto, struct.pack("!BBH", code, ident, 4 + len(body)) + body)

    def options(proto):
        if proto == 0xC021:
            return b"\x01\x04\x05\xd4\x05\x06" + magic
        if proto == 0x8021:
            v4 = [a for a in o.addr if ":" not in a][0].split("/")[0]
            return b"\x03\x06" + socket.inet_aton(v4)
        return b"\x01\x0a\x02\0\0\0\0\0\0" + (b"\x02" if o.server else b"\x01")

    def out(p):
        if {0x8021, 0x8057} <= ready:
            sess(0x0057 if p[0] >> 4 == 6 else 0x0021, p)

    def into():
        global sid, other
        f = ether_recv(link)
        kind = f[12:14]
        if kind == b"\x88\x63":
            code = f[15]
            length = struct.unpack("!H", f[18:20])[0]
            body = f[20:20 + length]
            if code == 0x09 and o.server:
                disc(f[6:12], 0x07, tags((0x0102, b"ac.example.test"), (0x0101, b"")) + body[4:])
            elif code == 0x07 and not o.server and other == broadcast:
                other = f[6:12]
                disc(other, 0x19, tags((0x0101, b""), (0x0103, b"fsnd")))
            elif code == 0x19 and o.server:
                other, sid = f[6:12], 0x0042
                disc(other, 0x65, body, sid)
                control(0xC021, 1, 1, options(0xC021))
            elif code == 0x65 and not o.server:
                sid = struct.unpack("!H", f[16:18])[0]
                control(0xC021, 1, 1, options(0xC021))
        elif kind == b"\x88\x64" and sid:
            length = struct.unpack("!H", f[18:20])[0]
            proto, p = struct.unpack("!H", f[20:22])[0], f[22:20 + length]
            if proto in (0x0021, 0x0057):
                return p
            code, ident, size = struct.unpack("!BBH", p[:4])
            if code == 1:
                control(proto, 2, ident, p[4:size])
            elif code == 2:
                ready.add(proto)
                if proto == 0xC021:
                    control(0x8021, 1, 2, options(0x8021))
                    control(0x8057, 1, 3, options(0x8057))
            elif code == 5:
                control(proto, 6, ident)
        return b""

    def bye(*_):
        if not o.server:
            control(0xC021, 5, 9, b"done")
            disc(other, 0xA7, b"", sid)

    if not o.server:
        disc(broadcast, 0x09, tags((0x0101, b""), (0x0103, b"fsnd")))
elif o.mode == "tun":
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((o.local, 7000))
    link.connect((o.peer, 7000))
    out = link.send

    def into():
        return link.recv(65600)
else:
    sys.exit(f"unknown mode {o.mode}")


def stop(*_):
    bye()
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
while True:
    for fd in select.select([tap, link] + ([link6] if o.mode == "ipip" else []), [], [])[0]:
        if fd == tap:
            try:
                out(os.read(tap, 65600))
            except OSError:
                pass
        else:
            try:
                p = get6() if o.mode == "ipip" and fd == link6 else into()
            except OSError:  # the other end was not there yet: ICMP said so
                continue
            if p:
                try:
                    os.write(tap, p)
                except OSError:
                    pass
