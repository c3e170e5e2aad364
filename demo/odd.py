#!/usr/bin/env python3
"""TCP that does not go smoothly, done by real sockets.

  odd.py serve ADDRESS         answers on the ports below until stopped
  odd.py keepalive|zerowindow|reset|halfopen|bulk|upload ADDRESS [BYTES]
"""
import os, socket, struct, sys, threading, time

KEEP, ZERO, RESET, GHOST, BULK, SINK, ECHO = 7001, 7002, 7003, 7004, 7005, 7006, 7007
TCP_REPAIR = 19
TEXT = b"".join(b"line %07d of a transfer made for a test\n" % i for i in range(30000))


def say(c, n):
    c.sendall(TEXT[:n])


def serve_one(port, c):
    try:
        if port == KEEP or port == ECHO:
            while True:
                d = c.recv(2000)
                if not d:
                    break
                c.sendall(d)
            c.close()
        elif port == ZERO:
            say(c, int(c.recv(20)))
            c.close()
        elif port == RESET:
            c.recv(2000)
            c.sendall(b"half an ans")
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        elif port == GHOST:  # forgets the connection without a word
            c.recv(2000)
            c.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            c.close()
        elif port == BULK:
            say(c, int(c.recv(20)))
            c.close()
        elif port == SINK:
            while c.recv(65536):
                pass
            c.close()
    except OSError:
        pass


def serve(addr):
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET

    def listen(port):
        s = socket.create_server((addr, port), family=family)
        while True:
            c, _ = s.accept()
            threading.Thread(target=serve_one, args=(port, c), daemon=True).start()
    for p in (KEEP, ZERO, RESET, GHOST, BULK, SINK, ECHO):
        threading.Thread(target=listen, args=(p,), daemon=True).start()
    time.sleep(600)


def dial(addr, port, rcvbuf=None):
    c = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    if rcvbuf:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if "ODD_MSS" in os.environ:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, int(os.environ["ODD_MSS"]))
    c.settimeout(60)
    c.connect((addr, port))
    return c


def main():
    what, addr = sys.argv[1], sys.argv[2]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 200000
    if what == "serve":
        serve(addr)
    elif what == "keepalive":
        c = dial(addr, KEEP)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)
        c.sendall(b"hello"), c.recv(100)
        time.sleep(5.5)
        c.sendall(b"bye"), c.recv(100)
        c.close()
    elif what == "zerowindow":
        c = dial(addr, ZERO, 8192)
        c.sendall(b"%d" % size)
        time.sleep(2.5)
        n = 0
        while d := c.recv(4096):
            n += len(d)
        print(n)
    elif what == "reset":
        c = dial(addr, RESET)  # the server resets
        c.sendall(b"question")
        try:
            while c.recv(100):
                pass
        except ConnectionResetError:
            pass
        c.close()
        c = dial(addr, KEEP)  # the client resets
        c.sendall(b"hello"), c.recv(100)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
        try:  # nobody listens
            dial(addr, 7999)
        except ConnectionRefusedError:
            pass
    elif what == "halfopen":
        c = dial(addr, GHOST)  # the server forgets; later data are answered by RST
        c.sendall(b"remember me")
        time.sleep(1.5)
        try:
            c.sendall(b"are you there?")
            time.sleep(0.5)
            c.recv(100)
        except OSError:
            pass
        c.close()
        d = socket.socket()  # nobody answers: SYN, SYN again
        d.settimeout(3.5)
        try:
            d.connect((addr, 7998))
        except OSError:
            pass
        d.close()
        e = dial(addr, ECHO)  # never closed on the wire: the socket is dropped silently
        e.sendall(b"last words"), e.recv(100)
        e.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        e.close()
    elif what == "bulk":
        c = dial(addr, BULK)
        c.sendall(b"%d" % size)
        n = 0
        while d := c.recv(65536):
            n += len(d)
        assert n == size, n
    elif what == "upload":
        c = dial(addr, SINK)
        say(c, size)
        c.shutdown(socket.SHUT_WR)
        c.recv(10)
        c.close()


main()
