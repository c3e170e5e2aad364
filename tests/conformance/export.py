#!/usr/bin/env python3
"""Exports captures over loopback and reads them back with other programs.

    export.py [--probe PATH] [--full] [--only GLOB] [--jobs 2]

For v5, v9 and IPFIX: the probe sends to a receiver here, which writes what came
to a pcap and passes the very same datagrams on to a real nfcapd. Then

- nfdump's packets, bytes and records equal the probe's own JSON and tshark's sums
  (IPv4 only for v5), and nfcapd counts no sequence failure,
- tshark decodes every datagram without a malformed, unknown-template or sequence mark,
- the reader of ipfix.py, made from the RFCs alone, comes to the same.

An IPFIX file (--ipfix-file) is read by ipfix.py and by tshark likewise.
Ends with `N passed, N failed, N skipped`.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import itertools
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import compare
import corpus
import ipfix
import oracle
import probe
import run

LARGEST = 5 << 20
CHOSEN = 40
VERSIONS = (5, 9, 10)


# What a receiver must be able to hold while it does not run.
BUFFER = 64 << 20
# Longer than anything takes that goes well.
LONG = 60


class Receiver:
    """A UDP port on loopback that keeps every datagram."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, getattr(socket, "SO_RCVBUFFORCE", 33)):
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            except OSError:
                continue  # only root may exceed the system's limit
        # Linux tells twice what it was asked for.
        granted = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if granted < BUFFER:
            self.socket.close()
            raise probe.Failed(f"a receive buffer of {BUFFER} bytes is not granted, but {granted}: "
                               f"be root, or set net.core.rmem_max={BUFFER}")
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]
        self.datagrams = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.datagrams.append(self.socket.recvfrom(65535))
            except socket.timeout:
                if self.done.is_set():
                    return

    def finish(self):
        self.done.set()
        self.thread.join()
        self.socket.close()
        return [data for data, _ in self.datagrams]


class Collector:
    """A real nfcapd, and what nfdump reads from it. Each has an address of
    127.0.0.0/8 to itself, below the ports that the system gives away: only a
    socket bound to that port of every address can be in the way."""

    numbers = itertools.count(1)
    PORTS = range(9995, 10015)

    def __init__(self, folder):
        self.folder = folder
        self.log = open(folder / "log", "w+b")
        number = next(self.numbers)
        self.host = f"127.{128 + os.getpid() % 100}.{number >> 8 & 255}.{number & 255}"
        for self.port in self.PORTS:
            command = ["nfcapd", "-b", self.host, "-p", str(self.port), "-w", str(folder),
                       "-t", "86400", "-B", str(32 << 20)]
            self.child = subprocess.Popen(command, stdout=self.log, stderr=self.log)
            if self.listens():
                return
        raise probe.Failed(f"nfcapd does not listen: {self.said()}")

    def listens(self):
        """Waits until it does; False when it ended instead."""
        until = time.monotonic() + LONG
        while self.child.poll() is None:
            if self.queued() is not None:
                return True
            if time.monotonic() > until:
                self.kill()
                raise probe.Failed(f"nfcapd does not listen after {LONG} s: {self.said()}")
            time.sleep(0.01)
        return False

    def queued(self):
        """Bytes the kernel holds for its port; None when nobody has it."""
        octets = [int(octet) for octet in self.host.split(".")]
        # The address as a number of this machine's byte order.
        wanted = f" {struct.unpack('=I', bytes(octets))[0]:08X}:{self.port:04X} "
        with open("/proc/net/udp") as table:
            line = next((line for line in table if wanted in line[:30]), None)
        return None if line is None else int(line.split()[4].split(":")[1], 16)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def feed(self, datagrams):
        """At a pace nfcapd keeps up with: its queue must not be the one to lose."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number, data in enumerate(datagrams, 1):
                sender.sendto(data, (self.host, self.port))
                if number % 8 == 0:
                    self.drained()
        self.drained()
        self.rests()

    def drained(self):
        """Waits until the kernel holds nothing for nfcapd's port any more."""
        until = time.monotonic() + LONG
        while queued := self.queued():
            if time.monotonic() > until:
                raise probe.Failed(f"nfcapd leaves {queued} bytes unread after {LONG} s: {self.said()}")
            time.sleep(0.001)
        if queued is None:
            raise probe.Failed(f"nfcapd listens no more: {self.said()}")

    def rests(self):
        """Waits until nfcapd has done with the datagram it took last: with none
        left it sleeps in recvfrom."""
        until = time.monotonic() + LONG
        asleep = 0
        while asleep < 3:
            if time.monotonic() > until:
                raise probe.Failed(f"nfcapd does not rest after {LONG} s: {self.said()}")
            time.sleep(0.005)
            with open(f"/proc/{self.child.pid}/stat") as stat:
                state = stat.read().rpartition(")")[2].split()[0]
            asleep = asleep + 1 if state == "S" else 0

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(LONG)
        except subprocess.TimeoutExpired:
            self.kill()
            raise probe.Failed("nfcapd does not stop") from None
        files = [f for f in self.folder.iterdir() if f.name.startswith("nfcapd.")]
        if len(files) != 1:
            raise probe.Failed(f"nfcapd left {len(files)} files: {self.said()}")
        return files[0]

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-300:]


def nfdump(path):
    """(records, packets, bytes) by adding up nfdump's rows, and its summary."""
    rows = run_text(["nfdump", "-r", str(path), "-q", "-N", "-o", "fmt:%pkt %byt %opkt %obyt"])
    count = packets = octets = 0
    for line in rows.splitlines():
        values = line.split()
        if len(values) != 4:
            continue
        values = [int(v) for v in values]
        count += 1
        packets += values[0] + values[2]
        octets += values[1] + values[3]
    summary = run_text(["nfdump", "-r", str(path), "-I"])
    failures = re.search(r"Sequence failures:\s*(\d+)", summary)
    return (count, packets, octets), int(failures.group(1)) if failures else 0


def run_text(command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          env=oracle.environment(), timeout=300, check=False)
    if done.returncode != 0 and not done.stdout:
        raise probe.Failed(f"{command[0]}: {done.stderr.strip()[:200]}")
    return done.stdout


def write_pcap(path, datagrams, port):
    """The datagrams in raw IPv4 (link type 101), from one port to `port`."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for number, data in enumerate(datagrams):
            udp = struct.pack(">HHHH", 40000, port, 8 + len(data), 0) + data
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number & 0xFFFF, 0, 64, 17, 0,
                             bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1]))
            frame = ip + udp
            file.write(struct.pack("<IIII", 1_700_000_000 + number // 1000, number % 1000 * 1000,
                                   len(frame), len(frame)))
            file.write(frame)


MARKS = re.compile(
    r"malformed|no template found|template not found|unknown template|unexpected flow sequence"
    r"|\[expert info \((?:error|warning)", re.IGNORECASE,
)


def tshark_marks(path, port):
    """Lines of tshark's decoding that tell of a fault; and the datagrams seen."""
    command = ["tshark", "-n", "-r", str(path), "-V"]
    if port:
        command += ["-d", f"udp.port=={port},cflow"]
    text = run_text(command)
    seen = len(re.findall(r"^Cisco NetFlow/IPFIX", text, re.MULTILINE))
    return sorted({m.strip() for m in text.splitlines() if MARKS.search(m)}), seen


def expectation(records, version):
    """(wire records, packets, bytes) the JSON records should make. One wire
    record per direction with packets, but v9, whose default template has OUT_*."""
    if version == 5:
        records = [r for r in records if r["IP_PROTOCOL_VERSION"] == 4]
    count = len(records)
    if version != 9:
        count = sum(bool(r["IN_PKTS"]) + bool(r["OUT_PKTS"]) for r in records)
    packets = sum(r["IN_PKTS"] + r["OUT_PKTS"] for r in records)
    octets = sum(r["IN_BYTES"] + r["OUT_BYTES"] for r in records)
    return count, packets, octets


def reference(answer, version):
    """tshark's packets and bytes (of IPv4 for v5)."""
    flows = [f for f in answer["flows"] if version != 5 or ":" not in f["key"][0][0]]
    return sum(sum(f["packets"]) for f in flows), sum(sum(f["bytes"]) for f in flows)


def over_the_wire(program, capture, answer, records, version, known):
    """All that is wrong with one capture in one version. Where differences.csv
    explains why the packets are not tshark's (`known`), they are not compared."""
    wrong = []
    receiver = Receiver()
    try:
        options = ["-n", f"udp://127.0.0.1:{receiver.port}", "-V", str(version)]
        ran = probe.Run([program, "-i", str(capture), *probe.WHOLE, *options], 120)
    finally:
        datagrams = receiver.finish()
    trouble = ran.trouble()
    if trouble:
        return [trouble]
    expected = expectation(records, version)
    truth = reference(answer, version)
    if expected[1:] != truth and not known:
        wrong.append(f"JSON has {expected[1:]} packets and bytes, tshark {truth}")

    reader = ipfix.Reader()
    try:
        for data in datagrams:
            reader.read(data)
    except (ipfix.Wrong, struct.error, IndexError) as reason:
        wrong.append(f"own reader: datagram {reader.messages}: {reason}")
    else:
        compare_counts(wrong, "own reader", ipfix.totals(reader.records), expected)

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        collector = Collector(folder)
        try:
            collector.feed(datagrams)
        except BaseException:
            collector.kill()
            raise
        file = collector.stop()
        got, failures = nfdump(file)
        if expected[0] or got[0]:
            compare_counts(wrong, "nfdump", got, expected)
        # RFC 7011 section 3.1 counts all Data Records, those of Options Templates too, as tshark and our reader do; nfcapd
        # 1.7.1 leaves them out: without options sent again (-o 0) it counts no failure on the same records.
        if failures and version != 10:
            wrong.append(f"nfcapd counts {failures} sequence failures")
        if datagrams:
            write_pcap(folder / "wire.pcap", datagrams, collector.port)
            marks, seen = tshark_marks(folder / "wire.pcap", collector.port)
            wrong += [f"tshark: {mark}" for mark in marks[:3]]
            if seen < len(datagrams):
                wrong.append(f"tshark decodes {seen} of {len(datagrams)} datagrams")
    largest = max(map(len, datagrams), default=0)
    if largest > 1472:
        wrong.append(f"a datagram of {largest} bytes does not fit an Ethernet frame")
    return wrong


def compare_counts(wrong, who, got, expected):
    if got != expected:
        labels = ("records", "packets", "bytes")
        told = ", ".join(
            f"{g} {label} instead of {e}" for g, e, label in zip(got, expected, labels) if g != e
        )
        wrong.append(f"{who}: {told}")


def as_file(program, capture, records):
    """The IPFIX file of a capture, read back."""
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "flows.ipfix")
        ran = probe.Run([program, "-i", str(capture), *probe.WHOLE, "--ipfix-file", path], 120)
        trouble = ran.trouble()
        if trouble:
            return [trouble]
        data = pathlib.Path(path).read_bytes() if os.path.exists(path) else b""
        reader = ipfix.Reader()
        try:
            for message in ipfix.messages(data):
                reader.read(message)
        except (ipfix.Wrong, struct.error, IndexError) as reason:
            return [f"own reader: message {reader.messages}: {reason}"]
        compare_counts(wrong, "own reader", ipfix.totals(reader.records), expectation(records, 10))
        if data:
            marks, seen = tshark_marks(path, None)
            wrong += [f"tshark: {mark}" for mark in marks[:3]]
            if not seen:
                wrong.append("tshark does not read the file")
    return wrong


def features(answer):
    """What kinds of traffic a capture has, to choose captures that differ."""
    found = {f"below {stack}" for stack in answer["layers"]}
    for flow in answer["flows"]:
        family = 6 if ":" in flow["key"][0][0] else 4
        found.add(f"ipv{family} protocol {flow['key'][2]}")
        found.add(f"packets 2^{sum(flow['packets']).bit_length()}")
        found.add(f"bytes 2^{sum(flow['bytes']).bit_length()}")
        if sum(flow["fragments"]):
            found.add(f"ipv{family} fragments")
    found.add(f"flows 2^{len(answer['flows']).bit_length()}")
    return found


def choose(captures, limit):
    """Captures that together show the most kinds of traffic, the same each time."""
    left = [(path, features(answer)) for path, answer in captures]
    chosen, covered = [], set()
    while left and len(chosen) < limit:
        best = max(left, key=lambda item: (len(item[1] - covered), str(item[0])))
        left.remove(best)
        chosen.append(best[0])
        covered |= best[1]
    return sorted(chosen)


def examine(program, root, capture):
    answer = oracle.consult(capture)
    name = str(capture.relative_to(root))
    try:
        records = probe.records(program, capture, probe.WHOLE)
    except probe.Failed as reason:
        return [(name, "json", [str(reason)])]
    known = any(what.startswith("flows:") for what in run.accepted_differences().get(name, {}))
    outcomes = []
    for version in VERSIONS:
        try:
            wrong = over_the_wire(program, capture, answer, records, version, known)
        except (probe.Failed, subprocess.TimeoutExpired) as reason:
            wrong = [str(reason)]
        outcomes.append((name, f"v{version}" if version < 10 else "ipfix", wrong))
    outcomes.append((name, "ipfix file", as_file(program, capture, records)))
    return outcomes


def main():
    parser = argparse.ArgumentParser(description="exports compared with nfdump and tshark")
    parser.add_argument("--probe", default=str(corpus.REPO / "target/release/flowsonde"))
    parser.add_argument("--full", action="store_true", help="every capture of 5 MB or less")
    parser.add_argument("--only", default="*", metavar="GLOB")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    root = corpus.folder()
    program = options.probe if os.sep in options.probe else "./" + options.probe
    if not os.access(program, os.X_OK):
        sys.exit(f"conformance: no probe at {options.probe}: build it, or name it with --probe")

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        paths = [p for p in corpus.captures(root)
                 if p.stat().st_size <= LARGEST and fnmatch.fnmatch(str(p.relative_to(root)), options.only)]
        answers = list(pool.map(oracle.consult, paths))
        usable = [(p, a) for p, a in zip(paths, answers) if a.get("flows")]
        chosen = sorted(p for p, _ in usable) if options.full else choose(usable, CHOSEN)
        print(f"{len(chosen)} captures, v5, v9, IPFIX and file each", flush=True)
        tally = collections.Counter()
        jobs = pool.map(lambda p: examine(program, root, p), chosen)
        for number, outcomes in enumerate(jobs, 1):
            for name, kind, wrong in outcomes:
                tally["failed" if wrong else "passed"] += 1
                if wrong:
                    print(f"FAIL {name} {kind}")
                    for line in wrong[: compare.SHOWN + 2]:
                        print(f"  {line}")
            if number % 50 == 0:
                print(f"... {number}/{len(chosen)} after {time.monotonic() - started:.0f} s")
            sys.stdout.flush()
    skipped = 4 * (len(paths) - len(usable))
    print(f"{tally['passed']} passed, {tally['failed']} failed, {skipped} skipped")
    return 1 if tally["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
