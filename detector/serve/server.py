"""The server: its application, its socket, and how long it waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from detector.errors import DetectorError
from detector.serve.access import HEADERS, guarded
from detector.serve.limits import Limits
from detector.web_server import quiet_config, with_headers

HEAD_S = 10.0  # for a request's head; uvicorn would wait for ever
MAX_CONNECTIONS = 512  # more get 503


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which also hangs up on those who send half a request's head and wait."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:  # the head is here
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def application(
    routes: Sequence[BaseRoute], limits: Limits, *, token: str | None, local: bool
) -> ASGIApp:
    """The routes behind the checks. local: only this machine can reach the server."""
    app: ASGIApp = guarded(Starlette(routes=list(routes)), token, limits)
    if local:
        # A name that an attacker points at 127.0.0.1 (DNS rebinding) is turned away.
        # Older starlettes read "[" from "[::1]:8000"; no name begins so.
        hosts = ["127.0.0.1", "localhost", "[::1]", "["]
        app = TrustedHostMiddleware(app, allowed_hosts=hosts, www_redirect=False)
    return with_headers(app, HEADERS)


def make_server(app: ASGIApp, tls: tuple[Path, Path] | None) -> uvicorn.Server:
    """A uvicorn server, ready for `run(sockets=[...])`. tls: certificate and key, PEM.

    Raises DetectorError when the two cannot be loaded.
    """
    config = quiet_config(app)
    config.http = PatientProtocol
    config.limit_concurrency = MAX_CONNECTIONS
    if tls is not None:
        config.ssl_certfile, config.ssl_keyfile = map(str, tls)
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        names = " and ".join(map(str, tls or ()))
        raise DetectorError(
            f"--tls-cert, --tls-key: {names} are no certificate and its key ({error}); "
            "expected two PEM files, the key without a password"
        ) from error
    return uvicorn.Server(config)


def address(socket_name: Any, host: str, *, secure: bool, token: str | None) -> str:
    """The URL to open; socket_name: what the socket says it is bound to."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{shown}]" if ":" in shown else shown
    query = f"?token={token}" if token else ""
    return f"{'https' if secure else 'http'}://{name}:{socket_name[1]}/{query}"
