#!/usr/bin/env python3
"""The slow application behind nginx: GET /think/150 answers 150 ms after it
was asked; POST /echo answers with how many bytes came."""
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        ms = int(self.path.rsplit("/", 1)[-1]) if self.path.startswith("/think/") else 0
        time.sleep(ms / 1000)
        self.answer(f"thought for {ms} ms\n".encode())

    def do_POST(self):
        n = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.answer(f"{n} bytes\n".encode())

    def log_message(self, *a):
        pass


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), App).serve_forever()
