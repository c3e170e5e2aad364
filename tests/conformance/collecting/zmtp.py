"""A subscriber of ZeroMQ that listens, from the protocol's description alone (ZMTP 3.0,
rfc.zeromq.org/spec/23; mechanism NULL), as ntopng does with a `c` behind its endpoint."""

import socket
import struct
import threading

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 3) + b"SUB"
EVERYTHING = b"\x01"
MORE, LONG, COMMAND = 1, 2, 4


class Subscriber:
    """Takes every message of the one publisher that connects, until that ends."""

    def __init__(self, limit=60):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(limit)
        self.limit, self.messages, self.error = limit, [], None
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def finish(self):
        """[(topic, payload)]; to be called once the publisher has ended."""
        self.thread.join(self.limit)
        self.listener.close()
        if self.error or self.thread.is_alive():
            raise OSError(f"subscriber: {self.error or 'the publisher stays'}")
        return self.messages

    def guarded(self):
        try:
            self.run()
        except (OSError, ValueError) as error:
            self.error = error

    def run(self):
        connection, _ = self.listener.accept()
        connection.settimeout(self.limit)
        with connection, connection.makefile("rb") as stream:
            connection.sendall(GREETING)
            if stream.read(64)[:1] != b"\xff":
                raise ValueError("no greeting")
            connection.sendall(bytes([COMMAND, len(READY)]) + READY)
            connection.sendall(bytes([0, len(EVERYTHING)]) + EVERYTHING)
            parts = []
            while head := stream.read(1):
                flags = head[0]
                length = struct.unpack(">Q", stream.read(8))[0] if flags & LONG else stream.read(1)[0]
                body = stream.read(length)
                if flags & COMMAND:
                    continue
                parts.append(body)
                if not flags & MORE:
                    header, payload = parts
                    self.messages.append((header[:16].rstrip(b"\0").decode(), payload))
                    parts = []
