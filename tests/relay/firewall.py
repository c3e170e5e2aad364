#!/usr/bin/env python3
"""Relays the corpus through a firewall, from one network namespace to another, and compares with collecting directly.

usage: firewall.py [--corpus FOLDER] [--keep]          needs root, ip, nft and tcpdump

Outside are exporters (flowload, which sends every file of netflow/ and sflow/) and flowrelay, inside is flowsonde; nftables inside
drops everything inbound that it did not ask for. Once the inside attaches to the relay, once the relay to the inside, whose
firewall then lets that one port in. The records are to be those of a collector the same files are sent to directly, in
the same order; of sFlow, which tells no times, the times of arrival are left out. Files with datagrams that flowrelay
refuses (tests/conformance/differences-check.csv) are not sent. A sniffer on the link is to find none of what was sent; as a
check of that it has to find it without encryption.
"""

import argparse
import csv
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "release"
OUTSIDE, INSIDE = f"fsr-out-{os.getpid()}", f"fsr-in-{os.getpid()}"
TIMES = ("FIRST_SWITCHED", "LAST_SWITCHED", "FLOW_START_MILLISECONDS", "FLOW_END_MILLISECONDS")
WINDOW = 16


def run(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, **more)


def within(namespace, *words, **more):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *[str(word) for word in words]], **more)


def end(process):
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def network():
    for name in (OUTSIDE, INSIDE):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", OUTSIDE, "link", "add", "wall", "type", "veth", "peer", "name", "wall", "netns", INSIDE)
    for name, address in ((OUTSIDE, "10.77.0.1/24"), (INSIDE, "10.77.0.2/24")):
        run("ip", "-n", name, "address", "add", address, "dev", "wall")
        run("ip", "-n", name, "link", "set", "wall", "up")


def firewall(port=None):
    let_in = f"tcp dport {port} accept;" if port else ""
    rules = ("flush ruleset; table inet filter { chain input { type filter hook input priority 0; policy drop; "
             f"iif lo accept; ct state established accept; {let_in} }}; }}")
    run("ip", "netns", "exec", INSIDE, "nft", rules)


def files(corpus):
    """Every file of netflow/ and of sflow/ whose datagrams pass."""
    with open(REPO / "tests/conformance/differences-check.csv", newline="") as file:
        refused = {row["file"] for row in csv.DictReader(file)}
    found = {}
    for kind in ("netflow", "sflow"):
        names = sorted(path.relative_to(corpus) for path in (corpus / kind).rglob("*")
                       if path.suffix in (".dat", ".bin", ".pcap", ".pcapng"))
        found[kind] = [corpus / name for name in names if str(name) not in refused]
    return found


def send(kinds, log):
    """All files, with a pause between the kinds; tells how many datagrams."""
    total = 0
    for paths in kinds.values():
        joined = ",".join(str(path) for path in paths)
        said = subprocess.run(["ip", "netns", "exec", OUTSIDE, TARGET / "flowload", "--target", "127.0.0.1:2055",
                               "--replay", joined, "--datagram-rate", "2000", "--json"], check=True, capture_output=True, text=True)
        log.write(said.stdout + said.stderr)
        total += json.loads(said.stdout)["datagrams"]
    return total


def records(path):
    """The lines, and how often each is there."""
    counted = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        key = json.dumps(record, sort_keys=True)
        counted[key] = counted.get(key, 0) + 1
    return counted


def timeless(counted):
    out = {}
    for key, count in counted.items():
        record = json.loads(key)
        for name in TIMES:
            record.pop(name, None)
        key = json.dumps(record, sort_keys=True)
        out[key] = out.get(key, 0) + count
    return out


def payloads(capture, protocol):
    """What UDP datagrams, or TCP segments, of a capture carry (Ethernet, IPv4)."""
    data = capture.read_bytes()
    at = 24
    while at + 16 <= len(data):
        _, _, length, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[12:14] != b"\x08\x00" or len(frame) < 34 or frame[23] != protocol:
            continue
        ip = 14 + (frame[14] & 15) * 4
        total = struct.unpack_from(">H", frame, 16)[0]
        head = 8 if protocol == 17 else (frame[ip + 12] >> 4) * 4
        yield frame[ip + head:14 + total]


def windows(capture):
    """Parts of datagrams that would not occur by chance."""
    chance = random.Random(1)
    found = []
    for payload in payloads(capture, 17):
        starts = [at for at in range(0, len(payload) - WINDOW) if len(set(payload[at:at + WINDOW])) >= 10]
        if starts:
            at = chance.choice(starts)
            found.append(payload[at:at + WINDOW])
    return found


def sniff(namespace, device, path, what):
    process = within(namespace, "tcpdump", "-i", device, "-U", "-s", "0", "-w", path, what, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    return process


def relayed(folder, kinds, log, name, encrypted, inside_binds):
    """Sends all through relay and firewall: the records, and the link's bytes."""
    firewall(5556 if inside_binds else None)
    endpoint = "tcp://10.77.0.2:5556" if inside_binds else "tcp://*:5556c"
    place = "zmq://*:5556" if inside_binds else "zmq://10.77.0.1:5556"
    outside_keys = ["--secret-key", folder / "relay.key", "-k", folder / "inside.key.pub"] if encrypted else ["--insecure"]
    inside_keys = (["--relay-key", folder / "relay.key.pub", "--relay-secret-key", folder / "inside.key"]
                   if encrypted else [])
    sniffer = sniff(INSIDE, "wall", folder / f"{name}.pcap", "tcp")
    relay = within(OUTSIDE, TARGET / "flowrelay", "-c", "127.0.0.1:2055", "-z", endpoint, *outside_keys, "--ledger",
                   folder / f"{name}-relay.json", "--dont-drop-privileges", stderr=log)
    collector = within(INSIDE, TARGET / "flowsonde", "-3", place, *inside_keys, "--collector-passthrough", "--json",
                       folder / f"{name}.json", "--ledger", folder / f"{name}-ledger.json", "--dont-drop-privileges",
                       stderr=log)
    time.sleep(1.5)
    sent = send(kinds, log)
    time.sleep(2)
    for process in (collector, relay, sniffer):
        end(process)
    stages = json.loads((folder / f"{name}-ledger.json").read_text())["stages"]
    received = sum(stage["received"] for stage in stages if stage["stage"] == "receive")
    return sent, received, records(folder / f"{name}.json"), b"".join(payloads(folder / f"{name}.pcap", 6))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", type=pathlib.Path,
                           default=pathlib.Path(os.environ.get("CORPUS") or REPO.parent / "shared/corpus"))
    arguments.add_argument("--keep", action="store_true", help="leave the folder")
    arguments = arguments.parse_args()
    if os.geteuid() != 0 or any(not shutil.which(need) for need in ("ip", "nft", "tcpdump")):
        sys.exit("firewall.py: needs root, ip, nft and tcpdump: .ci/install iproute2 nftables tcpdump")
    kinds = files(arguments.corpus.resolve())
    if not kinds["netflow"] or not kinds["sflow"]:
        sys.exit(f"firewall.py: no netflow/ and sflow/ in {arguments.corpus}; set CORPUS to the folder of captures")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowrelay-"))
    os.chmod(folder, 0o755)
    log = open(folder / "log", "a", encoding="utf-8")
    problems = []
    try:
        network()
        for name in ("relay.key", "inside.key"):
            run(TARGET / "flowrelay", "keygen", folder / name, stdout=log)
        # What it is compared with, and what is to be looked for on the link.
        sniffer = sniff(OUTSIDE, "lo", folder / "sent.pcap", "udp port 2055")
        direct = within(OUTSIDE, TARGET / "flowsonde", "-3", "127.0.0.1:2055", "--collector-passthrough", "--json",
                        folder / "direct.json", "--ledger", folder / "direct-ledger.json", "--dont-drop-privileges",
                        stderr=log)
        time.sleep(1)
        sent = send(kinds, log)
        time.sleep(1)
        end(direct)
        end(sniffer)
        expected = records(folder / "direct.json")
        looked_for = windows(folder / "sent.pcap")
        print(f"direct: {sent} datagrams of {sum(map(len, kinds.values()))} files, {sum(expected.values())} records, "
              f"{len(looked_for)} windows of {WINDOW} bytes")
        for name, encrypted, inside_binds in (("inside-attaches", True, False), ("relay-attaches", True, True),
                                              ("insecure", False, False)):
            sent, received, found, line = relayed(folder, kinds, log, name, encrypted, inside_binds)
            seen = sum(window in line for window in looked_for)
            whole = found == expected
            same = whole or timeless(found) == timeless(expected)
            print(f"{name}: {sent} datagrams sent, {received} collected, {sum(found.values())} records, "
                  f"{'the same' if whole else 'the same but for times' if same else 'OTHERS'}; {len(line)} bytes on the "
                  f"link, {seen} windows in it")
            if received != sent or not same:
                problems.append(f"{name}: other records than directly")
                first, second = timeless(found), timeless(expected)
                for key in list(set(first) ^ set(second))[:4]:
                    print(f"  {'only relayed' if key in first else 'only direct'}: {key[:300]}", file=sys.stderr)
            if encrypted and seen:
                problems.append(f"{name}: {seen} windows in the clear")
            if not encrypted and seen < len(looked_for) * 0.9:
                problems.append(f"{name}: the sniffer finds {seen} only of {len(looked_for)} windows")
    finally:
        for name in (OUTSIDE, INSIDE):
            subprocess.run(["ip", "netns", "delete", name], check=False)
        log.close()
    for problem in problems:
        print(f"firewall.py: {problem}", file=sys.stderr)
    if arguments.keep or problems:
        print(f"firewall.py: see {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    sys.exit(bool(problems))


main()
