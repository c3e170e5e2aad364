#!/usr/bin/env python3
"""A slow stand-in for the collector: the command line `collect.py` uses, enough of
it to test the checks before, or without, the real binary, and one more oracle.

    collector_standin.py -3 any -i FILE[,FILE...] --collector-passthrough --json -
        [--sample-rate 1:1]   counters as they came, else multiplied by the rate
        [--show options]      prints the options records instead, which the probe never does
"""

import argparse
import json
import struct
import sys

from collecting import datagrams, elements
from reading import netflow, sampling, sflow, templated

FORMATS = (1, 5, 7, 9, 10)


def read(paths):
    """Every flow of the files, and the reader with its options and notes."""
    reader, flows = templated.Reader(), []
    for one in datagrams.load(paths):
        data = one.payload
        address = text(one.source[0])
        try:
            if data[:4] == b"\0\0\0\5":
                flows += sflow.read(data, one.time)
                continue
            version = int.from_bytes(data[:2], "big")
            if version in netflow.SIZES:
                flows += netflow.read(data, address)
            elif version in (9, 10):
                flows += reader.read(data, address, one.source[1])
        except struct.error:
            reader.notes.add(f"datagram of {len(data)} bytes is cut")
    sampling.apply([f for f in flows if f.version != "s"], reader.options)
    for flow in flows:
        if flow.boot is None and flow.version == 10:
            flow.boot = flow.first((0, 160)) or reader.boots.get((flow.exporter, flow.domain))
    return flows, reader


def text(address):
    """Dotted, or the 32 hex digits the reader of captures gives, with colons."""
    if "." in address:
        return address
    return elements.canonical("ipv6Address", ":".join(address[n : n + 4] for n in range(0, 32, 4)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-3", dest="collect", default="any")
    parser.add_argument("-i", dest="inputs", required=True)
    parser.add_argument("--collector-passthrough", action="store_true")
    parser.add_argument("--json", default="-")
    parser.add_argument("--sample-rate", default="")
    parser.add_argument("--show", choices=("flows", "options"), default="flows")
    options = parser.parse_args()
    flows, reader = read(options.inputs.split(","))
    if options.show == "options":
        for exporter, domain, version, scopes, rest in reader.options:
            named = [(k if isinstance(k, str) else elements.label(k), show(v)) for k, v in [*scopes, *rest]]
            print(json.dumps({"exporter": exporter, "domain": domain, "version": version,
                              "scopes": len(scopes), "fields": named}))
    else:
        for flow in flows:
            print(json.dumps(flow.json(scaled=not options.sample_rate)))
    for note in sorted(reader.notes):
        print(f"note: {note}", file=sys.stderr)
    if reader.waiting:
        print(f"note: {len(reader.waiting)} data sets without a template", file=sys.stderr)
    return 0


def show(value):
    return value.hex() if isinstance(value, (bytes, bytearray)) else value


if __name__ == "__main__":
    sys.exit(main())
