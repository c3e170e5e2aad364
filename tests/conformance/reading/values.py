"""The value of a field by its type: RFC 7011 section 6.1, reduced-size encoding
of section 6.2, the lists of RFC 6313."""

import ipaddress
import struct

from collecting import elements

VARIABLE = 65535
EPOCH_1900 = 2_208_988_800  # seconds from 1900 to 1970, RFC 868
ERA = 1 << 32


class Short(Exception):
    """A field or a list ends before its length."""


def read(kind, data):
    """A Python value of `data`; octets stay bytes, and so does what does not
    have the length of its type."""
    size = len(data)
    if kind.startswith("unsigned"):
        return int.from_bytes(data, "big") if 0 < size <= 32 else data
    if kind.startswith("signed"):
        return int.from_bytes(data, "big", signed=True) if 0 < size <= 8 else data
    if kind.startswith("float"):
        if size not in (4, 8):
            return data
        return struct.unpack(">f" if size == 4 else ">d", data)[0]
    if kind == "boolean" and size == 1:
        return {1: 1, 2: 0}.get(data[0], data)  # 1 is true, 2 is false
    if (kind, size) in (("ipv4Address", 4), ("ipv6Address", 16)):
        return str(ipaddress.ip_address(bytes(data)))
    if kind == "macAddress" and size == 6:
        return data.hex(":")
    if kind == "string":
        return data.decode("utf-8", "replace").rstrip("\0")
    if kind in ("dateTimeSeconds", "dateTimeMilliseconds") and 0 < size <= 8:
        return int.from_bytes(data, "big")
    if kind in ("dateTimeMicroseconds", "dateTimeNanoseconds") and size == 8:
        return ntp(data, elements.UNITS[kind])
    return data


def ntp(data, unit):
    """NTP seconds and fraction in units since 1970. Section 6.1.9: in the
    microsecond type the lower 11 bits of the fraction count for nothing. A value
    before 1970 is of the era that began in 2036."""
    seconds, fraction = struct.unpack(">II", data)
    if unit == 1_000_000:
        fraction &= ~0x7FF
    seconds += 0 if seconds >= EPOCH_1900 else ERA
    return (seconds - EPOCH_1900) * unit + fraction * unit // ERA


def varying(data, at):
    """(start, end) of a variable-length field, section 7."""
    if at >= len(data):
        raise Short("length of a variable-length field")
    size, at = data[at], at + 1
    if size == 255:
        if at + 2 > len(data):
            raise Short("long length of a variable-length field")
        size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
    if at + size > len(data):
        raise Short("variable-length field")
    return at, at + size


def fields(layout, data, at):
    """The fields of one record as [(key, bytes)], and where the next begins."""
    found = []
    for key, size in layout:
        start, end = (at, at + size) if size != VARIABLE else varying(data, at)
        if end > len(data):
            raise Short("record")
        found.append((key, data[start:end]))
        at = end
    return found, at


def specifier(data, at):
    """One field specifier (section 3.2): key, length, where the next begins."""
    if at + 4 > len(data):
        raise Short("field specifier")
    number, size = struct.unpack_from(">HH", data, at)
    at += 4
    pen = 0
    if number & 0x8000:
        if at + 4 > len(data):
            raise Short("enterprise number")
        pen, = struct.unpack_from(">I", data, at)
        at += 4
    return elements.whole(pen, number & 0x7FFF), size, at


def basic_list(data, known):
    """RFC 6313 section 4.5.1: one element, many times."""
    key, size, at = specifier(data, 1)
    values = []
    while at < len(data):
        found, at = fields([(key, size)], data, at)
        values.append(plain(key, found[0][1], known))
        if size == 0:
            break
    return {"semantic": data[0], elements.label(key): values}


def template_list(data, known):
    """RFC 6313 section 4.5.2: records of one template."""
    if len(data) < 3:
        raise Short("subTemplateList")
    identifier, = struct.unpack_from(">H", data, 1)
    return {"semantic": data[0], "template": identifier,
            "records": records(identifier, data[3:], known)}


def multi_list(data, known):
    """RFC 6313 section 4.5.3: records of several templates."""
    at, parts = 1, []
    while at + 4 <= len(data):
        identifier, size = struct.unpack_from(">HH", data, at)
        if size < 4 or at + size > len(data):
            raise Short("subTemplateMultiList")
        parts.append({"template": identifier,
                      "records": records(identifier, data[at + 4 : at + size], known)})
        at += size
    return {"semantic": data[0] if data else 255, "parts": parts}


def records(identifier, data, known):
    layout = known(identifier)
    if layout is None:
        return data.hex()
    at, found = 0, []
    while at < len(data):
        before = at
        one, at = fields(layout, data, at)
        found.append({elements.label(k): plain(k, v, known) for k, v in one})
        if at == before:
            break
    return found


LISTS = {"basicList": basic_list, "subTemplateList": template_list,
         "subTemplateMultiList": multi_list}


def plain(key, data, known):
    """The value as JSON can hold it: hex for octets, an object for a list."""
    kind = elements.type_of(key)
    if kind in LISTS:
        try:
            return LISTS[kind](data, known)
        except (Short, IndexError, struct.error):
            return data.hex()
    value = read(kind, data)
    return value.hex() if isinstance(value, (bytes, bytearray)) else value
