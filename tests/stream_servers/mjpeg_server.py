"""An HTTP MJPEG camera for tests: `mjpeg_server.py PORT MODE FRAMES`, stdlib only.

The JPEG to send comes on standard input. Prints `ready PORT` once it listens on 127.0.0.1
(port 0: any free one).
The first connection sends FRAMES pictures and then, by MODE: `stall` keeps the socket open and
sends nothing more; `close` ends the answer. Later connections stream without end. `forever` streams
without end from the start; `mute` accepts and never answers; `refuse` answers 404.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, MODE, FRAMES = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
JPEG = sys.stdin.buffer.read()


class Camera(BaseHTTPRequestHandler):
    """Streams the picture at 20 a second as multipart/x-mixed-replace."""

    connections = 0

    def do_GET(self) -> None:
        Camera.connections += 1
        first = Camera.connections == 1
        if MODE == "mute":
            time.sleep(3600)
        if MODE == "refuse":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        sent = 0
        while not first or MODE == "forever" or sent < FRAMES:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(JPEG)}\r\n\r\n"
            self.wfile.write(head.encode() + JPEG + b"\r\n")
            sent += 1
            time.sleep(0.05)
        if MODE == "stall":
            time.sleep(3600)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test reads standard output."""


class Server(ThreadingHTTPServer):
    """Drops broken connections without a stack trace; threads end with the process."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """The client went away, as clients of a test do."""


server = Server(("127.0.0.1", PORT), Camera)
print(f"ready {server.server_address[1]}", flush=True)
server.serve_forever()
