"""NetFlow v9 (RFC 3954) and IPFIX (RFC 7011): templates, options and data.

Lenient where exporters are: an IPFIX message may hold v9 options templates, a v9
set may lack its padding, a set of impossible length ends the datagram.
"""

import struct

from collecting import elements

from . import values
from .flow import Flow

# Scope field types of RFC 3954 section 6.1, which are not elements.
SCOPES = {1: "system", 2: "interface", 3: "linecard", 4: "cache", 5: "template"}


class Template:
    def __init__(self, layout, scopes=0, v9_scopes=False):
        self.layout, self.scopes, self.v9_scopes = layout, scopes, v9_scopes

    def least(self):
        return sum(1 if size == values.VARIABLE else size for _, size in self.layout)


class Reader:
    """Keeps templates and data that waits for them, over the datagrams of a run."""

    def __init__(self):
        self.templates = {}
        self.waiting = []
        self.options = []  # (exporter, domain, export, version, scope fields, other fields)
        self.boots = {}  # (exporter, domain) -> epoch ms, element 160
        self.notes = set()

    def read(self, data, exporter, port):
        """The flows of a datagram, then those that waited for its templates."""
        version, = struct.unpack_from(">H", data)
        if version == 9:
            _, uptime, seconds, _, domain = struct.unpack_from(">HIIII", data, 2)
            boot, at, end = seconds * 1000 - uptime, 20, len(data)
        else:
            length, seconds, _, domain = struct.unpack_from(">HIII", data, 2)
            boot, at, end = None, 16, min(length, len(data))
        place = Place(version, exporter, port, domain, seconds, boot)
        flows, news = [], False
        while at + 4 <= end:
            identifier, size = struct.unpack_from(">HH", data, at)
            if size < 4 or at + size > end:
                self.notes.add(f"set {identifier} of length {size}")
                break
            body = data[at + 4 : at + size]
            if identifier < 256:
                news |= self.define(place, identifier, body)
            else:
                flows += self.data(place, identifier, body)
            at += size
        if news:
            waiting, self.waiting = self.waiting, []
            for earlier, identifier, body in waiting:
                flows += self.data(earlier, identifier, body)
        return flows

    def define(self, place, identifier, body):
        """A template set; what it holds decides, not the version it is in."""
        try:
            if identifier == 0:
                self.plain_templates(place, body, enterprise=False)
            elif identifier == 1:
                self.v9_options(place, body)
            elif identifier == 2:
                self.plain_templates(place, body, enterprise=True)
            elif identifier == 3:
                self.ipfix_options(place, body)
            else:
                self.notes.add(f"set id {identifier}")
                return False
        except values.Short as reason:
            self.notes.add(f"template set {identifier} cut: {reason}")
        return True

    def plain_templates(self, place, body, enterprise):
        at = 0
        while at + 4 <= len(body):
            identifier, count = struct.unpack_from(">HH", body, at)
            at += 4
            if identifier < 256:
                return  # padding
            layout, at = self.layout(body, at, count, enterprise)
            self.keep(place, identifier, Template(layout))

    def layout(self, body, at, count, enterprise):
        layout = []
        for _ in range(count):
            if enterprise:
                key, size, at = values.specifier(body, at)
            else:
                if at + 4 > len(body):
                    raise values.Short("field specifier")
                number, size = struct.unpack_from(">HH", body, at)
                key, at = elements.whole(0, number), at + 4
            layout.append((key, size))
        return layout, at

    def v9_options(self, place, body):
        """RFC 3954 section 6.1: lengths in bytes of the scope and option parts."""
        at = 0
        while at + 6 <= len(body):
            identifier, scope, option = struct.unpack_from(">HHH", body, at)
            at += 6
            if identifier < 256:
                return
            layout, at = self.layout(body, at, (scope + option) // 4, enterprise=False)
            self.keep(place, identifier, Template(layout, scope // 4, v9_scopes=True))

    def ipfix_options(self, place, body):
        at = 0
        while at + 6 <= len(body):
            identifier, count, scopes = struct.unpack_from(">HHH", body, at)
            if identifier < 256:
                return
            layout, at = self.layout(body, at + 6, count, enterprise=True)
            self.keep(place, identifier, Template(layout, max(scopes, 1)))

    def keep(self, place, identifier, template):
        if template.layout:  # a withdrawal has none, and counts on TCP only
            self.templates[place.whole(identifier)] = template

    def find(self, place, identifier):
        """By everything; else by all but the port, when that is unique."""
        exact = self.templates.get(place.whole(identifier))
        if exact:
            return exact
        version, address, _, domain, _ = place.whole(identifier)
        near = [t for (v, a, _, d, i), t in self.templates.items()
                if (v, a, d, i) == (version, address, domain, identifier)]
        return near[0] if len(near) == 1 else None

    def data(self, place, identifier, body):
        template = self.find(place, identifier)
        if template is None:
            self.waiting.append((place, identifier, body))
            return []
        least, at, flows = template.least(), 0, []
        while least and at + least <= len(body):
            try:
                found, at = values.fields(template.layout, body, at)
            except values.Short:
                break
            if template.scopes:
                self.option(place, template, found)
            else:
                flows.append(self.flow(place, identifier, found))
        return flows

    def flow(self, place, identifier, found):
        return Flow(place.version, place.exporter, place.domain, place.seconds,
                    self.values(place, found), place.boot, identifier)

    def values(self, place, found):
        def known(identifier):
            template = self.find(place, identifier)
            return template.layout if template else None

        read = []
        for key, data in found:
            kind = elements.type_of(key)
            if kind in values.LISTS:
                read.append((key, values.plain(key, data, known)))
            elif key == (0, 210):
                continue  # paddingOctets carries nothing
            else:
                read.append((key, values.read(kind, data)))
        return read

    def option(self, place, template, found):
        scopes, rest = found[: template.scopes], found[template.scopes :]
        if template.v9_scopes:
            scopes = [(SCOPES.get(k[1], k), int.from_bytes(v, "big")) for k, v in scopes]
        else:
            scopes = self.values(place, scopes)
        rest = self.values(place, rest)
        self.options.append((place.exporter, place.domain, place.version, scopes, rest))
        for key, value in rest:
            if key == (0, 160) and isinstance(value, int):
                domain = next((v for k, v in scopes if k == (0, 149)), place.domain)
                self.boots[place.exporter, domain] = value


class Place:
    """Where a datagram comes from: what templates are kept by, and its times."""

    def __init__(self, version, exporter, port, domain, seconds, boot):
        self.version, self.exporter, self.port = version, exporter, port
        self.domain, self.seconds, self.boot = domain, seconds, boot

    def whole(self, identifier):
        return self.version, self.exporter, self.port, self.domain, identifier
