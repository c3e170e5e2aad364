"""Running the probe and reading its JSON records the way the oracle counts."""

import json
import os
import resource
import signal
import subprocess
import tempfile
import time

import oracle

ELEMENTS = """
IPV4_SRC_ADDR IPV4_DST_ADDR IPV6_SRC_ADDR IPV6_DST_ADDR L4_SRC_PORT L4_DST_PORT
PROTOCOL IP_PROTOCOL_VERSION IN_PKTS IN_BYTES OUT_PKTS OUT_BYTES
FLOW_START_MILLISECONDS FLOW_END_MILLISECONDS
TCP_FLAGS CLIENT_TCP_FLAGS SERVER_TCP_FLAGS
RETRANSMITTED_IN_PKTS RETRANSMITTED_OUT_PKTS OOORDER_IN_PKTS OOORDER_OUT_PKTS
CLIENT_NW_LATENCY_MS SERVER_NW_LATENCY_MS
MIN_TTL MAX_TTL SRC_FRAGMENTS DST_FRAGMENTS ICMP_TYPE
""".split()

# Timeouts a capture does not reach, and a key without the VLAN.
WHOLE = ["-t", "86400", "-d", "86400", "-p", "0/1/1/1/0/1/1"]


class Failed(Exception):
    """The probe did not do what was asked; the text says how."""


class Run:
    """One finished run of the probe."""

    def __init__(self, command, limit, memory=None):
        self.command = command
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = time.monotonic()
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                preexec_fn=(lambda: cap_memory(memory)) if memory else None,
            )
            self.timed_out = False
            status, usage = self.wait(child, started, limit)
            self.seconds = time.monotonic() - started
            self.peak_kib = usage.ru_maxrss
            self.cpu = usage.ru_utime + usage.ru_stime
            self.code = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            self.stdout = out.read()
            self.stderr = err.read().decode(errors="replace")

    def wait(self, child, started, limit):
        pause = 0.001
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return status, usage
            if not self.timed_out and time.monotonic() - started > limit:
                self.timed_out = True
                child.kill()
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def trouble(self, codes=(0,)):
        """What went wrong, in a few words; None when nothing did."""
        if self.timed_out:
            return f"still running after {self.seconds:.0f} s"
        if "panicked" in self.stderr:
            line = next(x for x in self.stderr.splitlines() if "panicked" in x)
            return f"panic: {line.strip()}"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        if self.code not in codes:
            said = self.stderr.strip().splitlines()
            return f"exit {self.code}: {said[0] if said else 'nothing on stderr'}"
        return None


def cap_memory(limit):
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def records(program, capture, options=(), elements=ELEMENTS, limit=120):
    """The records of a capture as a list of dicts."""
    template = " ".join("%" + name for name in elements)
    run = Run([program, "-i", str(capture), *options, "-T", template, "--json", "-"], limit)
    trouble = run.trouble()
    if trouble:
        raise Failed(trouble)
    found = []
    for line in run.stdout.splitlines():
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except ValueError:
            raise Failed(f"not a JSON object: {line[:80]!r}") from None
    missing = [name for name in elements if found and name not in found[0]]
    if missing:
        raise Failed("elements asked for and not printed: " + " ".join(missing))
    return found


def tuple_of(record):
    """The unordered 5-tuple and whether the client is its first end."""
    if record["IP_PROTOCOL_VERSION"] == 6:
        src, dst = record["IPV6_SRC_ADDR"], record["IPV6_DST_ADDR"]
    else:
        src, dst = record["IPV4_SRC_ADDR"], record["IPV4_DST_ADDR"]
    protocol = record["PROTOCOL"]
    sport, dport = record["L4_SRC_PORT"], record["L4_DST_PORT"]
    if protocol in (oracle.ICMP, oracle.ICMPV6):
        sport = dport = 0
    return oracle.key(oracle.address(src), sport, oracle.address(dst), dport, protocol)


def gather(found):
    """Records added up by 5-tuple, in the shape of the oracle's flows."""
    flows = {}
    for record in found:
        tuple5, forward = tuple_of(record)
        way = 0 if forward else 1
        flow = flows.get(tuple5)
        if flow is None:
            flow = flows[tuple5] = oracle.Flow()
            flow.retransmissions, flow.out_of_order = [0, 0], [0, 0]
            flow.records = []
        flow.records.append(record)
        for mine, name in ((way, "IN"), (1 - way, "OUT")):
            side = "SRC" if name == "IN" else "DST"
            end = "CLIENT" if name == "IN" else "SERVER"
            flow.packets[mine] += record[name + "_PKTS"]
            flow.bytes[mine] += record[name + "_BYTES"]
            flow.fragments[mine] += record[side + "_FRAGMENTS"]
            flow.flags[mine] |= record[end + "_TCP_FLAGS"]
            flow.retransmissions[mine] += record[f"RETRANSMITTED_{name}_PKTS"]
            flow.out_of_order[mine] += record[f"OOORDER_{name}_PKTS"]
        flow.ttl = [
            min(flow.ttl[0], record["MIN_TTL"]),
            max(flow.ttl[1], record["MAX_TTL"]),
        ]
        first, last = record["FLOW_START_MILLISECONDS"], record["FLOW_END_MILLISECONDS"]
        flow.first = first if flow.first is None else min(flow.first, first)
        flow.last = last if flow.last is None else max(flow.last, last)
    return flows
