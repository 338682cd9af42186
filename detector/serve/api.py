"""The HTTP API: `POST /detect`, `GET /health`, `GET /openapi.json`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from detector.errors import DetectorError
from detector.predictor import Detector, in_unit
from detector.serve.answer import answer
from detector.serve.limits import Limits, Places, Refusal, drain, read_body
from detector.serve.openapi import document

Handler = Callable[[Request], Awaitable[Response]]
# What programs send where nobody says what a file is: `curl -T` and most, `curl --data-binary` and
# Python's urllib.
_UNSPECIFIC = ("", "application/octet-stream", "application/x-www-form-urlencoded")


class Api:
    """Detection for whoever asks over HTTP: as many at a time as the engine takes, the rest wait.

    detector: its `engine.parallel` pictures run side by side. `close` waits for those under way.
    """

    def __init__(self, detector: Detector, limits: Limits) -> None:
        self.detector, self.limits = detector, limits
        self.places = Places(limits.queue)
        # One more than the network takes: it decodes while they wait for the network.
        self._pool = ThreadPoolExecutor(detector.engine.parallel + 1, "detector-serve")
        self._document = document(detector.class_names, limits)

    def routes(self) -> list[Route]:
        """For a Starlette application."""
        return [
            Route("/detect", self._refusing(self._post_detect), methods=["POST"]),
            Route("/health", self._get_health),
            Route("/openapi.json", self._get_document),
        ]

    def close(self) -> None:
        """Drop what waits, finish what runs."""
        self._pool.shutdown(cancel_futures=True)

    async def _post_detect(self, request: Request) -> Response:
        check_content_type(request.headers.get("content-type", ""))
        score = read_score(request)
        with self.places.one():
            data = await read_body(request, self.limits)
            loop = asyncio.get_running_loop()
            facts = await loop.run_in_executor(
                self._pool, answer, self.detector, data, score, self.limits
            )
        return JSONResponse(facts)

    async def _get_health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "under_way": self.places.taken})

    async def _get_document(self, request: Request) -> Response:
        return JSONResponse(self._document)

    def _refusing(self, handler: Handler) -> Handler:
        """`handler`, with its refusals as answers."""

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as refusal:
                await drain(request, self.limits)
                return refusal.answer()
            except DetectorError as error:  # the model's fault, not the picture's
                return JSONResponse({"error": str(error)}, 500)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it

        return handled


def check_content_type(content_type: str) -> None:
    """Refusal 415 for a body that says it is no picture; its content is looked at later."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _UNSPECIFIC and not kind.startswith("image/"):
        raise Refusal(
            415, f"Content-Type is {kind}; send the picture file itself as the body, as image/jpeg"
        )


def read_score(request: Request) -> float | None:
    """The query's `score`, 0..1; None without. Refusal 422 for another value or another word."""
    for name in request.query_params:
        if name != "score":
            raise Refusal(422, f"query parameter {name!r} is unknown; there is score")
    if (value := request.query_params.get("score")) is None:
        return None
    try:
        return in_unit("score", float(value))
    except (ValueError, DetectorError):
        raise Refusal(422, f"score is {value!r}; expected a number from 0 to 1") from None
