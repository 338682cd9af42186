"""`--view web`: the annotated picture, its figures and the keys in a browser.

One uvicorn server in a background thread serves one page. The pipeline hands over a picture and
goes on; the server encodes the newest one when somebody asks for it, once for all who watch.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import cv2
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from detector.views import Stats, UInt8
from detector.web_server import bind, is_loopback, quiet_config, same_origin, with_headers

KEYS = ("q", "esc", " ", "s", "+", "-", "h")
PAGE = Path(__file__).parent / "assets" / "live.html"
_BOUNDARY = "next-picture-of-detector"
# Chromium draws a part when it has read the *head of the next one*. So that head follows each
# picture at once; else every picture would show one frame late, and a still one never.
_NEXT_PART = f"\r\n--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
_JPEG_QUALITY = 80  # 768x576: 1.0 ms and 77 kB
_STATS_EVERY_S = 0.25
_RESEND_S = 1.0  # a still picture is sent again: a client that went away is noticed on sending


class WebView:
    """The view in a browser; `url` says where. Port 0 takes any free one.

    Raises DetectorError when the address cannot be bound. Signals stay with the caller.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8000) -> None:
        self._newest: tuple[int, UInt8] | None = None  # (sequence number, picture), swapped whole
        self._jpeg: tuple[int, bytes] = (0, b"")  # (sequence number, its JPEG)
        self._stats: Stats = {}
        self._pressed: deque[str] = deque(maxlen=64)
        self._fresh = asyncio.Event()  # set, then replaced, when a picture arrives
        self._closing = False
        self.watchers = 0  # open streams
        self.encoded = 0  # pictures encoded so far
        self._socket = bind(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}/"
        local = is_loopback(host)
        if not local:
            print(
                f"detector: {self.url} is open to the network: anybody who reaches this machine "
                "can watch and press the keys; --host 127.0.0.1 keeps it to yourself",
                file=sys.stderr,
            )
        self._server = uvicorn.Server(quiet_config(self._app(local)))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="detector-web", daemon=True)
        self._thread.start()
        self._ready.wait(5)

    def show(self, image_bgr: UInt8, stats: Stats) -> None:
        """Make this (H, W, 3) picture the newest: no copy, no encoding (about 10 us)."""
        sequence = self._newest[0] + 1 if self._newest else 1
        self._newest = (sequence, image_bgr)
        self._stats = dict(stats)
        if self.watchers:
            self._in_loop(self._wake)

    def keys(self) -> list[str]:
        """What the page's buttons and keyboard sent since the last call."""
        return [self._pressed.popleft() for _ in range(len(self._pressed))]

    def close(self) -> None:
        """Tell the pages, end the streams and stop the server: within about 2 s."""
        if self._closing:
            return
        self._closing = True
        self._in_loop(self._wake)
        self._server.should_exit = True
        self._thread.join(3)
        self._socket.close()

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()  # the socket already listens: early clients wait in its queue
            await self._server.serve(sockets=[self._socket])

        asyncio.run(serve())

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _wake(self) -> None:
        waiting, self._fresh = self._fresh, asyncio.Event()
        waiting.set()

    async def _sleep(self, seconds: float) -> None:
        """Until the next picture, `close`, or the time is over."""
        try:
            await asyncio.wait_for(self._fresh.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def _app(self, local: bool) -> ASGIApp:
        routes = [
            Route("/", lambda _: FileResponse(PAGE, media_type="text/html")),
            Route("/stream.mjpg", self._get_stream),
            Route("/stats", self._get_stats),
            Route("/key/{key}", self._post_key, methods=["POST"]),
        ]
        # A name that an attacker points at 127.0.0.1 (DNS rebinding) is turned away.
        # Older starlettes read "[" from "[::1]:8000"; no name begins so.
        hosts = ["127.0.0.1", "localhost", "[::1]", "["] if local else ["*"]
        trusted = Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
        return with_headers(Starlette(routes=routes, middleware=[trusted]))

    async def _get_stream(self, request: Request) -> Response:
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(self._frames(request), media_type=media_type)

    async def _get_stats(self, request: Request) -> Response:
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def _post_key(self, request: Request) -> Response:
        if not same_origin(request):
            return Response("keys are taken from this page only", 403)
        key = request.path_params["key"]
        if key not in KEYS:
            return Response(f"no such key; there are {', '.join(map(repr, KEYS))}", 404)
        self._pressed.append(key)
        return Response(status_code=204)

    async def _frames(self, request: Request) -> AsyncIterator[bytes]:
        """Multipart bodies, each the newest picture when the client took the one before."""
        sent = 0
        self.watchers += 1
        try:
            yield _NEXT_PART.lstrip()
            while not self._closing and not await request.is_disconnected():
                if self._newest is None or self._newest[0] == sent:
                    await self._sleep(_RESEND_S)
                if self._newest is None or self._closing:
                    continue
                sent, jpeg = self._encoded(*self._newest)
                yield jpeg + _NEXT_PART
        finally:
            self.watchers -= 1

    def _encoded(self, sequence: int, image_bgr: UInt8) -> tuple[int, bytes]:
        """(sequence, JPEG), encoded at most once. Only the server's thread comes here."""
        if self._jpeg[0] != sequence:
            options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            self._jpeg = (sequence, cv2.imencode(".jpg", image_bgr, options)[1].tobytes())
            self.encoded += 1
        return self._jpeg

    async def _events(self, request: Request) -> AsyncIterator[str]:
        """The figures as server-sent events, also unchanged: the page takes silence for a loss."""
        while not self._closing and not await request.is_disconnected():
            yield f"data: {stats_json(self._stats)}\n\n"
            for _ in range(5):  # in slices: `close` does not wait for us
                if not self._closing:
                    await asyncio.sleep(_STATS_EVERY_S / 5)
        yield "event: end\ndata: {}\n\n"


def stats_json(stats: Stats) -> str:
    """The figures as JSON that browsers read: NumPy numbers as plain ones, NaN and inf as null."""

    def plain(value: float | int | str) -> float | int | str | None:
        if isinstance(value, (str, int)):
            return value
        number = float(value)
        return number if math.isfinite(number) else None

    return json.dumps({key: plain(value) for key, value in stats.items()})
