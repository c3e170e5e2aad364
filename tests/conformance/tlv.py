#!/usr/bin/env python3
"""Whether crates/engine/tests/tlv.txt says what the vectors of nDPI's serializer say.

    tlv.py [tlv-vectors.json]       else $SPEC or ../shared/spec beside the repository; nothing to do without

The vectors were made with the library itself; the table is their copy in the repository, with what is ours added. Both
have to have the same names, the same bytes, and the same calls.
"""

import json
import os
import pathlib
import sys
import urllib.parse

REPO = pathlib.Path(__file__).resolve().parents[2]
SORTS = {"uint32": "u", "uint64": "u", "int32": "i", "int64": "i", "float": "f", "double": "f", "boolean": "b",
         "string": "t", "raw": "t"}


def table():
    rows = {}
    for line in (REPO / "crates/engine/tests/tlv.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, items, octets, *ours = line.split(" | ")
            rows[name] = (items, octets, ours)
    return rows


def read(items):
    """[(key, sort, value)]; the end of a record is None."""
    found = []
    for item in items.split(" ") if items != "-" else []:
        if item == ".":
            found.append(None)
            continue
        key, value = item.split("=", 1)
        sort, value = value[0], urllib.parse.unquote(value[1:])
        found.append((urllib.parse.unquote(key), sort, value if sort == "t" else float(value)))
    return found


def called(calls):
    """The same of the library's calls; nothing when there are lists or blocks."""
    found = []
    for call in calls:
        if call[0] == "end_of_record":
            found.append(None)
            continue
        if "list" in call[0] or "block" in call[0]:
            return []
        sort = SORTS[call[0].split("_")[1]]
        found.append((str(call[1]), sort, call[2] if sort == "t" else float(call[2])))
    return found


def main():
    folder = pathlib.Path(os.environ.get("SPEC", REPO.parent / "shared" / "spec"))
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "tlv-vectors.json"
    if not path.exists():
        print(f"tlv: no {path}: nothing to compare with")
        return 0
    vectors = json.loads(path.read_text())["vectors"]
    rows, wrong = table(), 0
    for vector in vectors:
        items, octets, ours = rows.pop(vector["name"], ("", "", []))
        expected = vector["tlv_hex"][4:] or "-"
        if octets != expected or read(items or "-") != called(vector["calls"]) or len(ours) not in (0, 2):
            wrong += 1
            print(f"tlv: {vector['name']}: {items} {octets}, not {vector['calls']} {expected}")
    for name in rows:
        wrong += 1
        print(f"tlv: {name}: not among the vectors")
    print(f"tlv: {len(vectors)} vectors, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
