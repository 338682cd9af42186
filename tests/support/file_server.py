"""A server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from detector.data.download import Network

CONTENT = bytes(range(256)) * 4000  # 1 MB
NAPS: list[float] = []
QUICK = Network(timeout_s=2.0, waits_s=(0.01, 0.01, 0.01), sleep=NAPS.append)


class Server:
    """Answers every path from `files`; `mood` is what goes wrong, once a request while it lasts."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/data.bin": CONTENT}
        self.mood: list[str] = []
        self.ranges: list[str | None] = []
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        mood = self.mood.pop(0) if self.mood else ""
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        request.close_connection = True
        if mood.isdigit():
            request.send_error(int(mood))
            return
        if mood.startswith("to "):
            request.send_response(302)
            request.send_header("Location", mood[3:])
            request.end_headers()
            return
        body = self.files.get(request.path)
        if body is None:
            request.send_error(404)
            return
        start = int(asked[6:-1]) if asked and mood != "no ranges" else 0
        if asked and start >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        part = body[start:]
        request.wfile.write(part[: len(part) // 2] if mood in ("drop", "stall") else part)
        request.wfile.flush()
        if mood == "stall":
            self.release.wait(20)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
