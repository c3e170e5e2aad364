#!/usr/bin/env python3
"""Kills relay, collector and the link between them, in turn, under load: every datagram the relay received is in the
collector's file once, or is counted as lost by the relay's restart, within --spool-sync.

usage: crash.py [--kills N] [--rate DATAGRAMS] [--keep]

What is sent are NetFlow v9 messages of one record each, with a number in IN_BYTES. The relay's numbering says how many it
received; the collector's --relay-state how far it is and what was lost.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "release"
REASONS = ("relay_buffer_full", "relay_spool_full", "relay_restart", "relay_spool_broken", "relay_other")


def port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Sender(threading.Thread):
    """Numbered datagrams, one every so often; the template every hundred."""

    def __init__(self, to, rate):
        super().__init__(daemon=True)
        self.to, self.rate, self.sent, self.stop = to, rate, 0, False
        # The collector is to read what came while a template's message was lost.
        fields = struct.pack(">HH HH HH HH", 8, 4, 12, 4, 1, 4, 2, 4)
        self.template = struct.pack(">HHHH", 0, 8 + len(fields), 256, 4) + fields

    def run(self):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.bind(("127.0.0.1", 0))
        start = time.monotonic()
        while not self.stop:
            while self.sent < (time.monotonic() - start) * self.rate:
                record = struct.pack(">IIII", 0x0A000001, 0x0A000002, self.sent, 1)
                sets = struct.pack(">HH", 256, 4 + len(record)) + record
                count = 1
                if self.sent % 100 == 0:
                    sets, count = self.template + sets, 2
                head = struct.pack(">HHIIII", 9, count, 1000, 1_700_000_000, self.sent, 7)
                try:
                    out.sendto(head + sets, self.to)
                except ConnectionRefusedError:
                    pass  # The relay is not there: it did not receive this one.
                self.sent += 1
            time.sleep(0.001)


def link(listen, to):
    """A process that passes bytes on between two ports."""
    code = f"""
import socket, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try: s.shutdown(2)
        except OSError: pass
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", {listen})); s.listen()
while True:
    a, _ = s.accept()
    try: b = socket.create_connection(("127.0.0.1", {to}))
    except OSError:
        a.close(); continue
    for x, y in ((a, b), (b, a)):
        threading.Thread(target=pump, args=(x, y), daemon=True).start()
"""
    return subprocess.Popen([sys.executable, "-c", code])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--rate", type=int, default=3000)
    arguments.add_argument("--keep", action="store_true", help="leave the folder")
    arguments = arguments.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowrelay-"))
    relay, collector = str(TARGET / "flowrelay"), str(TARGET / "flowsonde")
    for name in ("relay.key", "inside.key"):
        subprocess.run([relay, "keygen", folder / name], check=True, stdout=subprocess.DEVNULL)
    exports, bound, through = port(socket.SOCK_DGRAM), port(), port()
    logs = open(folder / "log", "ab")

    def start(which):
        if which == "link":
            return link(through, bound)
        if which == "relay":
            command = [relay, "-c", f"127.0.0.1:{exports}", "-z", f"tcp://127.0.0.1:{bound}c", "--secret-key",
                       "relay.key", "-k", "inside.key.pub", "--spool", "spool", "--ledger", "relay.json",
                       "--ledger-interval", "1", "--dont-drop-privileges"]
        else:
            command = [collector, "-3", f"zmq://127.0.0.1:{through}", "--relay-key", "relay.key.pub",
                       "--relay-secret-key", "inside.key", "--relay-state", "state", "--json", "out.json", "--ledger",
                       "ledger.json", "--dont-drop-privileges"]
        return subprocess.Popen(command, cwd=folder, stderr=logs)

    running = {which: start(which) for which in ("relay", "link", "collector")}
    time.sleep(1)
    sender = Sender(("127.0.0.1", exports), arguments.rate)
    sender.start()
    chance = random.Random(7)
    killed = {which: 0 for which in running}
    for n in range(arguments.kills):
        which = ("relay", "collector", "link")[n % 3]
        time.sleep(chance.uniform(0.5, 1.5))
        running[which].send_signal(signal.SIGKILL)
        running[which].wait()
        killed[which] += 1
        # Some outages are short, some are long.
        time.sleep(chance.choice([0, 0.2, 1.0]))
        running[which] = start(which)
    time.sleep(1)
    sender.stop = True
    sender.join()

    def state():
        for line in (folder / "state").read_text().splitlines():
            words = line.split()
            if words[0] == "relay":
                return int(words[3]), [int(word) for word in words[4:9]]
        return 0, [0] * 5

    deadline = time.monotonic() + 20
    last, settled = None, time.monotonic() + 6
    while time.monotonic() < deadline and ((now := state()) != last or time.monotonic() < settled):
        last = now
        time.sleep(2)
    for which in ("collector", "relay", "link"):
        running[which].send_signal(signal.SIGTERM)
        running[which].wait()
    logs.close()
    relayed = [stage for stage in json.loads((folder / "relay.json").read_text())["stages"] if stage["stage"] == "relay"]
    held = sum(stage["held"] for stage in relayed)
    next_number, lost = state()
    numbers = [json.loads(line)["IN_BYTES"] for line in (folder / "out.json").read_text().splitlines()]
    distinct = len(set(numbers))
    lost_by = {reason: count for reason, count in zip(REASONS, lost) if count}
    print(f"killed {killed}; sent {sender.sent}, received by the relay {next_number}, delivered {distinct}, "
          f"twice {len(numbers) - distinct}, lost {lost_by}, held {held}")
    bound_of_loss = killed["relay"] * arguments.rate * 0.1 * 1.5
    problems = []
    if len(numbers) != distinct:
        problems.append("some were delivered twice")
    if held:
        problems.append(f"the relay holds {held}")
    if distinct + sum(lost) != next_number:
        problems.append(f"{next_number - distinct - sum(lost)} are neither delivered nor lost")
    if set(lost_by) - {"relay_restart"}:
        problems.append("lost for another reason than a restart")
    if sum(lost) > bound_of_loss:
        problems.append(f"more lost than {bound_of_loss:.0f}")
    if distinct < sender.sent * 0.5:
        problems.append("hardly anything was delivered")
    for problem in problems:
        print(f"crash.py: {problem}", file=sys.stderr)
    if arguments.keep or problems:
        print(f"crash.py: see {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    sys.exit(bool(problems))


main()
