#!/usr/bin/env python3
"""A link with a length: passes Ethernet frames between two interfaces and
adds delay, loss and reordering, as `tc netem` would (not every kernel has
netem). Loss and reordering touch only frames of at least --min-size bytes, so
that a handshake is never what is lost. The choice is a seeded sequence.

On SIGTERM it writes what it did to --report (JSON): frames passed, dropped
and held back, per direction, and the TCP sequence numbers of what it dropped.
"""
import argparse, heapq, json, random, select, signal, socket, struct, sys, time

ETH_P_ALL, SOL_PACKET = 0x0003, 263
PACKET_AUXDATA, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 8, 1, 1
PACKET_IGNORE_OUTGOING = 23
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40


def open_port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((name, ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    idx = socket.if_nametoindex(name)
    s.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                 struct.pack("IHH8s", idx, PACKET_MR_PROMISC, 0, b""))
    for opt in (33, 8):  # SO_RCVBUFFORCE, SO_RCVBUF
        try:
            s.setsockopt(socket.SOL_SOCKET, opt, 8 << 20)
            break
        except OSError:
            pass
    s.setblocking(False)
    return s


def receive(s):
    """One frame, with the VLAN tag that the kernel took out put back."""
    data, anc, _, addr = s.recvmsg(65600, 64)
    if addr[2] == socket.PACKET_OUTGOING:
        return None
    for level, kind, body in anc:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", body[:20])
            if status & VLAN_VALID:
                tpid = tpid if status & VLAN_TPID_VALID else 0x8100
                data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


def tcp_of(frame):
    if len(frame) >= 54 and frame[12:14] == b"\x08\x00" and frame[23] == 6:
        h = 14 + (frame[14] & 15) * 4
        sp, dp, seq = struct.unpack("!HHI", frame[h:h + 8])
        size = struct.unpack("!H", frame[16:18])[0] - (h - 14) - (frame[h + 12] >> 4) * 4
        return {"sport": sp, "dport": dp, "seq": seq, "payload": size}
    return None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("a"), ap.add_argument("b")
    ap.add_argument("--delay", type=float, default=0, help="ms, each way")
    for d in ("ab", "ba"):
        ap.add_argument(f"--loss-{d}", type=float, default=0, help="percent")
        ap.add_argument(f"--reorder-{d}", type=float, default=0, help="percent")
    ap.add_argument("--hold", type=float, default=3, help="ms a reordered frame is late")
    ap.add_argument("--min-size", type=int, default=200)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--report")
    o = ap.parse_args()
    ports = [open_port(o.a), open_port(o.b)]
    ways = []
    for i, d in enumerate(("ab", "ba")):
        ways.append({"rng": random.Random(o.seed * 2 + i), "loss": getattr(o, f"loss_{d}") / 100,
                     "late": getattr(o, f"reorder_{d}") / 100,
                     "n": {"passed": 0, "dropped": 0, "reordered": 0, "dropped_tcp": []}})

    def stop(*_):
        if o.report:
            with open(o.report, "w") as f:
                json.dump({"delay_ms": o.delay, "hold_ms": o.hold, "ab": ways[0]["n"], "ba": ways[1]["n"]}, f, indent=1)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    queue, order = [], 0
    poll = select.poll()
    for s in ports:
        poll.register(s, select.POLLIN)
    while True:
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, out, frame = heapq.heappop(queue)
            try:
                out.send(frame)
            except OSError:
                pass
        wait = None if not queue else max(0, (queue[0][0] - time.monotonic()) * 1000)
        if wait is not None and wait < 0.3:
            events = poll.poll(0)
        else:
            events = poll.poll(wait if wait is None else wait - 0.2)
        for fd, _ in events:
            i = 0 if fd == ports[0].fileno() else 1
            way = ways[i]
            for _ in range(64):
                try:
                    frame = receive(ports[i])
                except BlockingIOError:
                    break
                except OSError:
                    break
                if not frame:
                    continue
                due = time.monotonic() + o.delay / 1000
                if len(frame) >= o.min_size:
                    dice = way["rng"].random()
                    if dice < way["loss"]:
                        way["n"]["dropped"] += 1
                        t = tcp_of(frame)
                        if t:
                            way["n"]["dropped_tcp"].append(t)
                        continue
                    if dice < way["loss"] + way["late"]:
                        way["n"]["reordered"] += 1
                        due += o.hold / 1000
                way["n"]["passed"] += 1
                order += 1
                heapq.heappush(queue, (due, order, ports[1 - i], frame))


main()
