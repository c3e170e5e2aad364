"""The export datagrams of a file: UDP payloads of a capture, or a payload file."""

import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import corpus  # noqa: E402
import standin  # noqa: E402

UDP = 17


class Datagram:
    """One UDP payload with where it came from; time in seconds."""

    def __init__(self, time, source, payload, port=0):
        self.time, self.source, self.payload, self.port = time, source, payload, port


def load(paths):
    """The datagrams of the files of one run, in order."""
    count = 0
    for path in paths:
        if not corpus.is_capture(path):
            yield Datagram(count / 1000, ("127.0.0.1", 0), pathlib.Path(path).read_bytes())
            count += 1
            continue
        for time, link, frame, _ in standin.read_capture(path):
            found = udp(link, frame)
            if found:
                source, port, payload = found
                yield Datagram(time, source, payload, port)


def udp(link, frame):
    """((address, port), destination port, payload) of an unfragmented UDP packet."""
    at = standin.to_ip(link, frame)
    if at is None or at >= len(frame):
        return None
    version = frame[at] >> 4
    if version == 4:
        header = (frame[at] & 15) * 4
        total, flags, protocol = struct.unpack_from(">H2xH1xB", frame, at + 2)
        if protocol != UDP or flags & 0x3FFF:
            return None
        address = ".".join(str(b) for b in frame[at + 12 : at + 16])
        start, end = at + header, at + total
    elif version == 6:
        length, protocol = struct.unpack_from(">HB", frame, at + 4)
        if protocol != UDP:
            return None
        address = frame[at + 8 : at + 24].hex()
        start, end = at + 40, at + 40 + length
    else:
        return None
    sport, port, length = struct.unpack_from(">HHH", frame, start)
    return (address, sport), port, frame[start + 8 : min(start + length, end, len(frame))]


def pcap(path, datagrams, port=2055):
    """Writes the datagrams as raw IPv4 (link type 101), each exporter with an
    address of its own, for tools that read captures only. sFlow goes to 6343."""
    sources = {}
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for number, one in enumerate(datagrams):
            host = sources.setdefault(one.source, len(sources) + 1)
            to = 6343 if one.payload[:4] == b"\0\0\0\5" else port
            head = struct.pack(">HHHH", 40000 + host % 20000, to, 8 + len(one.payload), 0)
            body = head + one.payload
            address = bytes([192, 0, 2 + host // 250, 1 + host % 250])
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number & 0xFFFF, 0, 64, UDP,
                             0, address, bytes([198, 51, 100, 1]))
            seconds, part = divmod(int(one.time * 1_000_000), 1_000_000)
            frame = ip + body
            file.write(struct.pack("<IIII", seconds, part, len(frame), len(frame)) + frame)
