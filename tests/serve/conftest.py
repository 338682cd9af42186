"""A server of the API in this process, and how a program talks to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from waiting import wait_until

from detector import Detector
from detector.serve import server, site
from detector.serve.api import Api
from detector.serve.limits import Limits
from detector.web_server import bind

DEFAULT = Limits()


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A running server."""

    port: int
    api: Api
    stop: Callable[[], None]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        seconds: float = 30,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The embedded model at a small size: what the server does does not depend on it."""
    return Detector(precision="float", size=96, score=0.2)


@pytest.fixture
def serve(detector: Detector) -> Iterator[Callable[..., Served]]:
    """serve(limits, token=None, local=True, using=detector): a server on a free port."""
    yield from _starter(detector)


@pytest.fixture(scope="session")
def served(detector: Detector) -> Iterator[Served]:
    """A server with the default limits, for all tests that need no other."""
    starter = _starter(detector)
    yield next(starter)()
    next(starter, None)


def _starter(detector: Detector) -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def start(
            limits: Limits = DEFAULT,
            token: str | None = None,
            local: bool = True,
            using: Detector = detector,
            tls: tuple[Path, Path] | None = None,
        ) -> Served:
            bound, api = bind("127.0.0.1", 0, "serve"), Api(using, limits)
            routes = [*api.routes(), *site.routes(using, using.path, [])]
            app = server.application(routes, limits, token=token, local=local)
            running = server.make_server(app, tls)
            thread = threading.Thread(
                target=lambda: asyncio.run(running.serve(sockets=[bound])), daemon=True
            )

            def stop() -> None:
                running.should_exit = True
                thread.join(10)
                api.close()
                bound.close()

            thread.start()
            stack.callback(stop)
            wait_until(lambda: running.started, "the server is up")
            return Served(bound.getsockname()[1], api, stop)

        yield start


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """The sample clip's first picture."""
    video = cv2.VideoCapture(str(Path(site.__file__).parents[1] / "assets" / "sample.mp4"))
    return bytes(cv2.imencode(".jpg", video.read()[1])[1])


@pytest.fixture(scope="session")
def flat_png() -> Callable[[int, int], bytes]:
    """flat_png(width, height): a small file, however large the picture."""

    def make(width: int, height: int) -> bytes:
        return bytes(cv2.imencode(".png", np.full((height, width), 90, np.uint8))[1])

    return make
