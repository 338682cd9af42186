"""The HTTP API: right answers, and each wrong request refused with its status and a reason."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
from openapi_spec_validator import validate
from waiting import wait_until

from detector import Detector
from detector.engine import Outputs
from detector.images import decode_image
from detector.serve import server
from detector.serve.limits import Limits
from detector.serve.openapi import document

Serve = Callable[..., Any]
JPEG = {"Content-Type": "image/jpeg"}


def schema_of(described: Any, name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}", "components": described["components"]}


def test_answer_is_what_python_finds(served: Any, detector: Detector, jpeg: bytes) -> None:
    answer = served.ask("POST", "/detect", jpeg, JPEG)
    assert answer.status == 200
    expected = detector(decode_image(jpeg, "sample"))
    assert len(expected) > 0
    assert [one["class"] for one in answer.json["detections"]] == expected.names
    np.testing.assert_allclose(
        [one["xyxy"] for one in answer.json["detections"]], expected.xyxy, atol=0.006
    )
    np.testing.assert_allclose(
        [one["score"] for one in answer.json["detections"]], expected.scores, atol=6e-5
    )
    described = served.ask("GET", "/openapi.json").json
    jsonschema.validate(answer.json, schema_of(described, "Answer"))
    jsonschema.validate(served.ask("GET", "/health").json, schema_of(described, "Health"))


def test_openapi_document_is_valid() -> None:
    validate(document(("cat", "dog"), Limits()))


@pytest.mark.parametrize(
    "kind",
    [
        *("", "image/png", "IMAGE/JPEG; x=y", "application/octet-stream"),
        "application/x-www-form-urlencoded",  # curl --data-binary, Python's urllib
    ],
)
def test_content_decides_the_format(served: Any, jpeg: bytes, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert served.ask("POST", "/detect", jpeg, headers).status == 200


def test_score_is_the_threshold(served: Any, jpeg: bytes) -> None:
    found = [
        len(served.ask("POST", f"/detect?score={score}", jpeg).json["detections"])
        for score in (0.05, 0.2, 1)
    ]
    assert found[0] > found[1] > found[2] == 0


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("score=2", "from 0 to 1"),
        ("score=nan", "from 0 to 1"),
        ("score=", "from 0 to 1"),
        ("score=high", "from 0 to 1"),
        ("threshold=0.5", "'threshold' is unknown"),
    ],
)
def test_wrong_query_is_422(served: Any, jpeg: bytes, query: str, reason: str) -> None:
    answer = served.ask("POST", f"/detect?{query}", jpeg)
    assert answer.status == 422
    assert reason in answer.json["error"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"a=b"),
        ("multipart/form-data; boundary=x", b"--x"),
        ("text/html", b"<html>"),
        ("image/svg+xml", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("image/gif", b"GIF89a" + bytes(20)),
        ("image/tiff", b"II*\x00" + bytes(20)),
        ("image/heic", b"\x00\x00\x00\x18ftypheic" + bytes(20)),
        ("image/jpeg", b"no picture at all"),
    ],
)
def test_other_kinds_are_415(served: Any, kind: str, body: bytes) -> None:
    answer = served.ask("POST", "/detect", body, {"Content-Type": kind})
    assert answer.status == 415
    jsonschema.validate(answer.json, schema_of(document(("cat",), Limits()), "Error"))


def test_empty_cut_and_damaged_pictures_are_422(served: Any, jpeg: bytes) -> None:
    scans = jpeg[:-2] + b"\xff\xda\x00\x02" * 100 + jpeg[-2:]
    video_after_it = jpeg + b"\xff\xda" * 100  # as phones append it
    for body, reason in (
        (b"", "empty"),
        (jpeg[: len(jpeg) // 2], "cut short"),
        (jpeg[:3], "cut short"),
        (scans, "scans"),
    ):
        answer = served.ask("POST", "/detect", body, JPEG)
        assert answer.status == 422
        assert reason in answer.json["error"]
    assert served.ask("POST", "/detect", video_after_it, JPEG).status == 200


def test_too_many_pixels_are_413(serve: Serve, flat_png: Callable[[int, int], bytes]) -> None:
    served = serve(Limits(max_pixels=90_000))
    assert served.ask("POST", "/detect", flat_png(300, 300)).status == 200
    answer = served.ask("POST", "/detect", flat_png(301, 300))
    assert answer.status == 413
    assert "301x300" in answer.json["error"]


def test_too_many_bytes_are_413_before_they_are_read(serve: Serve, jpeg: bytes) -> None:
    served = serve(Limits(max_bytes=len(jpeg)))
    assert served.ask("POST", "/detect", jpeg).status == 200
    assert served.ask("POST", "/detect", jpeg + b"x").status == 413
    chunks = (jpeg for _ in range(3))  # no Content-Length
    assert served.ask("POST", "/detect", chunks).status == 413
    # Announced only: an answer at once, and not one byte asked for.
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
    connection.putrequest("POST", "/detect")
    connection.putheader("Content-Length", str(10**15))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_slow_body_is_408(serve: Serve) -> None:
    served = serve(Limits(receive_s=0.3))
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.putrequest("POST", "/detect")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"\xff\xd8")
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError, AttributeError):
            while not ended.wait(0.05):
                connection.sock.send(b"x")

    threading.Thread(target=drip, daemon=True).start()
    try:
        assert connection.getresponse().status == 408
    finally:
        ended.set()
    assert served.api.places.taken == 0


def test_half_a_head_is_hung_up_on(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
        client.sendall(b"POST /detect HTTP/1.1\r\nHost: 127")
        assert client.recv(100) == b""


class Held:
    """An engine whose answers wait for `go`."""

    description, origin, parallel = "held", "held", 1

    def __init__(self) -> None:
        self.go = threading.Event()

    def infer(self, batch: Any) -> Outputs:
        assert self.go.wait(30)
        return np.zeros((1, 4), np.float32), np.zeros((1, 80), np.float32)


def test_full_queue_is_429_and_frees_itself(serve: Serve, jpeg: bytes) -> None:
    held = Detector(precision="float", size=96)
    held.engine = engine = Held()
    served = serve(Limits(queue=3), using=held)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(served.ask("POST", "/detect", jpeg).status)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    wait_until(lambda: served.ask("GET", "/health").json["under_way"] == 3, "the queue is full")
    refused = served.ask("POST", "/detect", jpeg)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert statuses == []
    engine.go.set()
    for asker in askers:
        asker.join(30)
    assert statuses == [200, 200, 200]
    assert served.ask("POST", "/detect", jpeg).status == 200


def test_client_that_goes_away_frees_its_place(served: Any, jpeg: bytes) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
            client.sendall(
                b"POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n"
            )
            time.sleep(0.02)
    wait_until(lambda: served.api.places.taken == 0, "the places are free again")
    assert served.ask("POST", "/detect", jpeg).status == 200


def test_other_methods_and_paths_are_refused(served: Any) -> None:
    assert served.ask("GET", "/detect").status == 405
    assert served.ask("GET", "/../../etc/passwd").status == 404
    assert served.ask("GET", "/model/../NOTICE").status == 404
