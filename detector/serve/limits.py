"""What a request may ask for: how much, how many at a time, how long; all else is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

_DRAIN_S = 5.0


@dataclass(frozen=True)
class Limits:
    """Bounds of the API.

    max_bytes: of a picture file. max_pixels: width times height. queue: requests under way at a
    time, received, waiting or worked on. receive_s: seconds a picture may take to arrive.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    queue: int = 64
    receive_s: float = 30.0


class Refusal(Exception):
    """A request that is not served: an HTTP status and one line that says why and what would do."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def answer(self) -> JSONResponse:
        """As JSON: {"error": reason}."""
        headers = {"Retry-After": "1"} if self.status == 429 else {}
        if self.status == 401:
            headers = {"WWW-Authenticate": "Bearer"}
        return JSONResponse({"error": str(self)}, self.status, headers)


class Places:
    """The bounded queue's places: one a request, from before its body is read to its answer."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place; Refusal 429 where none is left. Only the server's thread comes here."""
        if self.taken >= self.count:
            raise Refusal(429, f"{self.count} pictures are under way; ask again in a second")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Refusal 413 for one too large, 408 for one too slow.

    Raises ClientDisconnect when the client goes away first.
    """
    if _declared(request) > limits.max_bytes:  # before a byte of it is read
        raise _too_large(limits)
    try:
        return await asyncio.wait_for(_collect(request, limits), limits.receive_s)
    except asyncio.TimeoutError:
        request.state.body_ended = True  # for us: whoever is so slow is not waited for again
        raise Refusal(
            408, f"the picture took more than {limits.receive_s:g} s to arrive; send it faster"
        ) from None


async def drain(request: Request, limits: Limits) -> None:
    """Read and drop what is left of a refused body: most clients read no answer before it is sent.

    Bounded: not for one that asked first (`Expect: 100-continue`), nor for a much too large one,
    and for 5 s at most.
    """
    if "expect" in request.headers or _declared(request) > 2 * limits.max_bytes:
        return
    try:
        await asyncio.wait_for(_drop(request, 2 * limits.max_bytes), _DRAIN_S)
    except (asyncio.TimeoutError, ClientDisconnect):
        return


async def _collect(request: Request, limits: Limits) -> bytes:
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > limits.max_bytes:
            raise _too_large(limits)
    return bytes(body)


async def _drop(request: Request, most: int) -> None:
    dropped = 0
    async for chunk in _chunks(request):
        dropped += len(chunk)
        if dropped > most:
            return


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """What has not yet been read of the body; unlike `Request.stream` it can be taken up again."""
    while not getattr(request.state, "body_ended", False):
        message = await request.receive()
        request.state.body_ended = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")


def _declared(request: Request) -> int:
    """Content-Length; 0 where none is given (the server has refused what is no number)."""
    return int(request.headers.get("content-length", "0"))


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        413, f"the picture has more than {limits.max_bytes:,} bytes; send a smaller file"
    )
