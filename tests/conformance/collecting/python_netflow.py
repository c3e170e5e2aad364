"""The PyPI package `netflow`, run in an environment of its own that is kept with
the other caches, outside the repository. It reads v1, v5, v9 and IPFIX."""

import json
import subprocess
import sys

import oracle

from . import datagrams, elements, nfcapd
from .expectation import FLOW, Expectation, key_of

PACKAGE = "netflow==0.12.2"

# Run by that environment's Python: hex payloads in, one JSON list a datagram out.
DECODE = r"""
import json, sys, netflow
known = {"netflow": {}, "ipfix": {}}
for line in sys.stdin:
    try:
        packet = netflow.parse_packet(bytes.fromhex(line), known)
        rows = []
        for flow in packet.flows:
            fields = getattr(flow, "data", None)
            if fields is None:
                fields = {k: v for k, v in flow.__dict__.items()
                          if k not in ("fields", "_length", "scopes")}
            rows.append({k: v for k, v in fields.items() if isinstance(v, (int, str))})
        print(json.dumps([packet.header.version, rows]))
    except Exception as reason:
        print(json.dumps([0, type(reason).__name__]))
"""

ALIASES = {
    "NEXT_HOP": (0, 15), "INPUT": (0, 10), "OUTPUT": (0, 14), "IN_PACKETS": (0, 2),
    "IN_OCTETS": (0, 1), "SRC_PORT": (0, 7), "DST_PORT": (0, 11), "PROTO": (0, 4),
    "TOS": (0, 5), "SRC_MASK": (0, 9), "DST_MASK": (0, 13), "IP_PROTOCOL_VERSION": (0, 60),
    "SRC_VLAN": (0, 58), "DST_VLAN": (0, 59), "FIRST_SWITCHED": None, "LAST_SWITCHED": None,
}
COMPARED = {(0, n) for n in (1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 17, 23, 24, 27, 28, 58,
                             60, 61, 62, 80, 85, 86, 152, 153)}


def environment():
    """The environment's Python, made on first use; None where that cannot be."""
    home = oracle.cache_folder() / "venv"
    python = home / "bin" / "python"
    made = python.exists() and subprocess.run([python, "-c", "import netflow"], check=False,
                                              capture_output=True).returncode == 0
    if not made:
        for command in ([sys.executable, "-m", "venv", home],
                        [python, "-m", "pip", "install", "--quiet", PACKAGE]):
            if subprocess.run(command, check=False, capture_output=True).returncode != 0:
                return None
    return python


def read(paths):
    """What it decodes, as far as it does; None where it reads nothing."""
    python = environment()
    found = [d for d in datagrams.load(paths) if d.payload[:4] != b"\0\0\0\5"]
    if python is None or not found or len({d.source for d in found}) > 1:
        return None  # it keeps templates by id alone, so one exporter at a time
    place = nfcapd.kept(PACKAGE, [d.payload for d in found])
    try:
        said = place.read_text()
    except OSError:
        said = ask(python, found)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(said)
    records = []
    for line in said.splitlines():
        version, rows = json.loads(line)
        if version:
            records += [record(row) for row in rows]
    records = [r for r in records if any(key in FLOW for key in r)]
    return Expectation("netflow (PyPI)", records, complete=False) if records else None


def ask(python, found):
    text = "".join(d.payload.hex() + "\n" for d in found)
    return subprocess.run([python, "-c", DECODE], input=text, capture_output=True, text=True,
                          timeout=120, check=False).stdout


def record(row):
    found = {}
    for name, value in row.items():
        key = key_of(name, ALIASES)
        if key in COMPARED:
            found[key] = translate(key, value)
    return found


def translate(key, value):
    kind = elements.type_of(key)
    if isinstance(value, int) and kind == "ipv4Address":
        return ".".join(str(b) for b in value.to_bytes(4, "big"))
    if isinstance(value, int) and kind == "ipv6Address":
        return elements.canonical(kind, ":".join(f"{value:032x}"[n : n + 4] for n in range(0, 32, 4)))
    if isinstance(value, int) and kind == "macAddress":
        return f"{value:012x}"
    return value
