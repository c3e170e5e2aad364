"""Names, identifiers and types of the information elements, and when two values
of an element are the same.

`elements.csv` is the IANA registry (pen 0) and the names nProbe prints, without
the rows ntopng keeps for itself. Everywhere in the harness an element is its key
(enterprise, id); ntop's elements are (35632, n), in NetFlow v9 57472 + n.
"""

import csv
import ipaddress
import math
import pathlib

NTOP = 35632
NTOP9 = 57472  # ntop's elements in NetFlow v9: this plus the id
REVERSE = 29305  # RFC 5103
TABLE = pathlib.Path(__file__).with_name("elements.csv")

TYPES, NAMES, IANA = {}, {}, {}
KEYS = {}


def load():
    with open(TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        key = int(row["pen"]), int(row["id"])
        TYPES[key] = row["type"] or "octetArray"
        IANA[key] = row["iana"]
        ours = row["nprobe"].split()
        NAMES[key] = ours[0] if ours else row["iana"]
        for name in [*ours, row["iana"]]:
            if name:
                KEYS.setdefault(name, key)


load()


def label(key):
    """How the collector names it: nProbe's name, else IANA's, else PEN.id."""
    return NAMES.get(key) or f"{key[0]}.{key[1]}"


def key_of(name):
    """The element a JSON member or another program's field stands for, or None."""
    if name in KEYS:
        return KEYS[name]
    head, dot, tail = name.partition(".")
    if dot and head.isdigit() and tail.isdigit():
        return whole(int(head), int(tail))
    if name.startswith("reverse") and name[7:8].isupper():
        forward = KEYS.get(name[7:8].lower() + name[8:])
        return (REVERSE, forward[1]) if forward and forward[0] == 0 else None
    return None


# What Cisco's ASA sent before 8.4(5) under numbers of its own: translated
# addresses and ports, and the firewall event.
ASA = {40001: 225, 40002: 226, 40003: 227, 40004: 228, 40005: 233}
CISCO, CISCO9 = 9, 32768  # its elements in NetFlow v9: this plus the id


def whole(pen, number):
    """One key for the spellings of one element."""
    if pen == 0 and number in ASA:
        return 0, ASA[number]
    if pen == 0 and NTOP9 <= number and (NTOP, number - NTOP9) in NAMES:
        return NTOP, number - NTOP9
    if pen == 0 and (CISCO, number - CISCO9) in NAMES:
        return CISCO, number - CISCO9
    return pen, number


def type_of(key):
    if key[0] == REVERSE:
        return TYPES.get((0, key[1]), "octetArray")
    return TYPES.get(key, "octetArray")


UNITS = {
    "dateTimeSeconds": 1,
    "dateTimeMilliseconds": 1000,
    "dateTimeMicroseconds": 1_000_000,
    "dateTimeNanoseconds": 1_000_000_000,
}
UPTIMES = {(0, 21), (0, 22)}  # on the wire sysUptime, in JSON epoch seconds


def canonical(kind, value):
    """One form for the spellings of a value: addresses compressed, octets and
    MACs as plain hex, text without its padding, numbers as numbers."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (bytes, bytearray)):
        value = value.hex()
    if kind in ("ipv4Address", "ipv6Address"):
        try:
            return str(ipaddress.ip_address(str(value)))
        except ValueError:
            return digits(value)
    if kind in ("macAddress", "octetArray"):
        return digits(value)
    if kind == "string":
        return str(value).rstrip("\0 ").lstrip("\0")
    if isinstance(value, str):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
        return digits(value)
    return value


def digits(value):
    text = str(value).lower()
    return "".join(c for c in text.removeprefix("0x") if c not in ":-. ")


def same(key, expected, got):
    """Whether the collector's value is what another program expects."""
    kind = type_of(key)
    if kind == "octetArray" and (isinstance(expected, int) or text_address(expected) or not is_hex(expected)):
        return octets_same(expected, digits(got))
    one, two = canonical(kind, expected), canonical(kind, got)
    if one == two:
        return True
    if key in UPTIMES or kind in UNITS:
        return numbers(one, two) and abs(one - two) <= 1  # rounded or cut
    if isinstance(one, float) or isinstance(two, float):
        return numbers(one, two) and math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-9)
    return False


def text_address(value):
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def is_hex(value):
    text = digits(value)
    return bool(text) and len(text) % 2 == 0 and all(c in "0123456789abcdef" for c in text)


def octets_same(expected, got):
    """Where another program knows the type of what is octets to us."""
    try:
        raw = bytes.fromhex(got)
    except ValueError:
        return False
    if text_address(expected):
        return raw == ipaddress.ip_address(expected).packed
    if isinstance(expected, int):
        return int.from_bytes(raw, "big") == expected
    return raw.decode("utf-8", "replace").rstrip("\0") == str(expected).rstrip("\0")


def numbers(*values):
    return all(isinstance(v, (int, float)) for v in values)
