"""The web view's server: its socket, its quiet configuration, and who may talk to it."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector.errors import DetectorError

# Little is buffered for a slow client, so that it skips pictures instead of seeing old ones.
_SEND_BUFFER_BYTES = 128 * 1024
SAFE_HEADERS = {  # of every page of ours
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other site may embed the stream
}
_HEADERS = {
    **SAFE_HEADERS,
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'"
    ),
}


def same_origin(request: Request) -> bool:
    """Whether the browser vouches that our own page sent this; no word at all counts as no.

    Browsers send Origin with every POST, and Sec-Fetch-Site on secure or local addresses.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site is not None
    return urlsplit(origin).netloc == request.headers.get("host")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int, who: str = "--view web") -> socket.socket:
    """A listening TCP socket; DetectorError names the address, the port and the option to change.

    who: what the error begins with.
    Bound here and not by uvicorn, which would log the failure and exit the process.
    """
    if not 0 <= port <= 65535:  # getaddrinfo would wrap it round
        raise DetectorError(f"--port {port}: a port is a number from 0 (any free one) to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise DetectorError(f"--host {host} --port {port}: no such address ({error})") from error
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # clients inherit
        bound.bind(address)
        bound.listen(64)
    except OSError as error:
        bound.close()
        raise DetectorError(
            f"{who}: cannot serve on {host} port {port} ({error.strerror}); "
            "give another --port (0 takes any free one) or --host"
        ) from error
    return bound


def quiet_config(app: ASGIApp) -> uvicorn.Config:
    """No log lines, one second of grace at the end, nothing that needs more than uvicorn and h11.

    In a thread other than the main one uvicorn leaves the signal handlers alone.
    """
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


def with_headers(app: ASGIApp, headers_of_all: Mapping[str, str] = _HEADERS) -> ASGIApp:
    """Put these headers (default: the web view's) on every answer, refusals included."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def sendwith_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in headers_of_all.items():
                    headers[name] = value
            await send(message)

        await app(scope, receive, sendwith_headers)

    return wrapped
