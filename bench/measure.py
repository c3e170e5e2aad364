"""Runs a program and measures it: CPU seconds of the process and everything it
starts, peak resident memory, wall time; and a sink for what it exports."""

import ctypes
import json
import mmap
import multiprocessing
import os
import pathlib
import platform
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[1]
SUBREAPER = 36  # prctl(2): children of children are ours to wait for


def captures():
    """The folder with mix.pcap and small.pcap, made when it is not there."""
    folder = pathlib.Path(os.environ.get("PCAPMIX") or REPO / "target" / "pcapmix")
    if not all((folder / name).is_file() for name in ("mix.pcap", "small.pcap")):
        maker = REPO.parent / "shared" / "tools" / "pcapmix"
        if not maker.is_dir():
            sys.exit(f"bench: no captures in {folder}: set PCAPMIX to a folder made by pcapmix")
        corpus = os.environ.get("CORPUS") or REPO.parent / "shared" / "corpus"
        subprocess.run(["make", "-C", maker, f"OUT={folder.resolve()}", f"CORPUS={corpus}"], check=True)
    return folder


def probe(default="target/release/flowsonde"):
    """The probe to measure: $FLOWSONDE or the release build; None when missing."""
    path = pathlib.Path(os.environ.get("FLOWSONDE") or REPO / default)
    return path if os.access(path, os.X_OK) else None


def packets(capture):
    """How many packets a pcap holds, by capinfos."""
    done = subprocess.run(["capinfos", "-c", "-M", str(capture)], capture_output=True, text=True, check=True)
    return int(re.search(r"Number of packets:\s*(\d+)", done.stdout).group(1))


def warm(capture):
    """Brings a file into the page cache, and memory back that a hypervisor took
    while it lay free: else who runs after a pause pays for that, not for its work."""
    with open(capture, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    child = os.fork()
    if child == 0:
        memory = mmap.mmap(-1, 2 << 30)
        memory.madvise(mmap.MADV_HUGEPAGE)
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1
        os._exit(0)
    os.waitpid(child, 0)


class Result:
    """CPU and memory of one run."""

    def __init__(self, cpu, peak_kib, wall, code, said):
        self.cpu, self.peak_kib, self.wall, self.code, self.said = cpu, peak_kib, wall, code, said


def run(command, cwd=None, limit=600):
    """Runs a command to its end. A helper process adopts all descendants, so
    daemons and plugins count too; memory is the sum of the processes' peaks."""
    return Running(command, cwd, limit).result()


class Running:
    """A command at work, see run; it may be told to end."""

    def __init__(self, command, cwd=None, limit=600):
        self.answers, theirs = os.pipe()
        self.helper = os.fork()
        if self.helper == 0:
            os.close(self.answers)
            try:
                answer = supervise(command, cwd, limit, theirs)
            except BaseException as reason:
                answer = {"code": -1, "cpu": 0, "peak": 0, "wall": 0, "said": repr(reason)}
            os.write(theirs, json.dumps(answer).encode() + b"\n")
            os._exit(0)
        os.close(theirs)
        self.text = os.fdopen(self.answers, "rb")
        self.pid = json.loads(self.text.readline()).get("pid")

    def end(self, number=signal.SIGTERM):
        """Tells the command, not what it started, to end."""
        if self.pid:
            os.kill(self.pid, number)

    def kill(self):
        """Ends it and what it started, at once."""
        if self.pid:
            os.killpg(self.pid, signal.SIGKILL)

    def result(self):
        answer = json.loads(self.text.readline() or b'{"code":-1,"cpu":0,"peak":0,"wall":0,"said":""}')
        self.text.close()
        os.waitpid(self.helper, 0)
        return Result(answer["cpu"], answer["peak"], answer["wall"], answer["code"], answer["said"])


def supervise(command, cwd, limit, answers):
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.memfd_create("log")
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)
    os.write(answers, json.dumps({"pid": child.pid}).encode() + b"\n")
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
    signal.alarm(limit)
    cpu, peak, code = 0.0, 0, 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += usage.ru_utime + usage.ru_stime
        peak += usage.ru_maxrss
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    os.lseek(log, 0, os.SEEK_SET)
    said = os.read(log, 1 << 20).decode(errors="replace")[-4000:]
    return {"cpu": cpu, "peak": peak, "wall": wall, "code": code, "said": said}


class Sink:
    """A process that takes datagrams on a loopback port and counts IPFIX or v9
    data records. Its CPU is nobody's, and it stays out of the senders' way: on the
    last core, and looking now and then rather than waiting to be woken."""

    def __init__(self):
        mine, other = multiprocessing.Pipe()
        self.pipe = mine
        self.process = multiprocessing.Process(target=self.serve, args=(other,), daemon=True)
        self.process.start()
        self.port = mine.recv()

    def serve(self, pipe):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF):
            try:
                sock.setsockopt(socket.SOL_SOCKET, option, 256 << 20)
                break
            except OSError:
                continue
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        pipe.send(sock.getsockname()[1])
        sizes, datagrams, octets, records = {}, 0, 0, 0
        ended = False
        while True:
            try:
                data = sock.recv(65535)
            except BlockingIOError:
                # Nobody waits in recv, so no sender has to wake anybody up.
                if ended:
                    break
                ended = pipe.poll(0.02)
                continue
            datagrams += 1
            octets += len(data)
            records += count_records(data, sizes)
        pipe.send((datagrams, octets, records))

    def finish(self):
        """(datagrams, bytes, data records) received."""
        self.pipe.send("end")
        counted = self.pipe.recv()
        self.process.join()
        return counted


def count_records(data, sizes):
    """Data records of a message with fixed-length templates."""
    version = int.from_bytes(data[:2], "big")
    if version == 5:
        return int.from_bytes(data[2:4], "big")
    at, count = (16, 0) if version == 10 else (20, 0)
    template = 2 if version == 10 else 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">HH", data, at)
        if length < 4:
            break
        if kind == template:
            learn(data[at + 4 : at + length], sizes, version)
        elif kind >= 256 and sizes.get(kind):
            count += (length - 4) // sizes[kind]
        at += length
    return count


def learn(body, sizes, version):
    at = 0
    while at + 8 <= len(body):
        kind, fields = struct.unpack_from(">HH", body, at)
        at += 4
        size = 0
        for _ in range(fields):
            element, width = struct.unpack_from(">HH", body, at)
            at += 8 if version == 10 and element & 0x8000 else 4
            size += width
        sizes[kind] = size


def median(values):
    return statistics.median(values)


def version(command, pattern=r"[0-9][\w.\-]*[0-9]"):
    """The version a program prints, or a question mark."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "?"
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(0) if found else "?"


def machine():
    """Processor, cores, memory and kernel: enough to read the figures by."""
    cpu = "?"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = int(re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read()).group(1))
    return (f"{cpu}, {os.cpu_count()} cores, {memory / (1 << 20):.0f} GiB, "
            f"Linux {platform.release().split('-')[0]}")


def flowsonde_command(program, capture, port, *extra):
    return [str(program), "-i", str(capture), "-n", f"udp://127.0.0.1:{port}", "-V", "10",
            "--disable-dpi", *extra]


def write_section(name, text):
    """Puts text between the markers of this name in RESULTS.md, at its end when they are not there."""
    path = pathlib.Path(__file__).with_name("RESULTS.md")
    before = path.read_text() if path.exists() else ""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    section = f"{begin}{text.strip()}\n{end}"
    if begin in before and end in before:
        head, rest = before.split(begin, 1)
        path.write_text(head + section + rest.split(end, 1)[1])
    else:
        path.write_text(f"{before.rstrip()}\n\n{section}" if before else section)
