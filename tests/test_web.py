"""The browser view, spoken to over real sockets (tests/test_web_page.py looks at its page)."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import Any

import cv2
import numpy as np
import pytest
from waiting import wait_until
from web_client import ask, port_of

from detector.views import UInt8
from detector.web import WebView, stats_json


def picture(number: int, height: int = 240, width: int = 320) -> UInt8:
    """A picture whose grey tells its number (JPEG keeps a flat grey to within 2)."""
    return np.full((height, width, 3), number % 256, np.uint8)


class Stream:
    """A reader of /stream.mjpg that takes one picture at a time."""

    def __init__(self, view: WebView) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port_of(view), timeout=5)
        self.connection.request("GET", "/stream.mjpg")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        assert self._to_next_head() == b"--"

    def _to_next_head(self) -> bytes:
        """The bytes before the next part's boundary; its head is read too, as Chromium does."""
        got = b""
        while not got.endswith(b"next-picture-of-detector\r\nContent-Type: image/jpeg\r\n\r\n"):
            got += self.answer.readline()
        return got.rpartition(b"next-picture")[0]

    def read(self) -> UInt8:
        """The next picture, without waiting for the one after it."""
        jpeg = self._to_next_head().removesuffix(b"\r\n--")
        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded.astype(np.uint8)

    def close(self) -> None:
        """Vanish without a word."""
        if self.connection.sock is not None:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()
        self.connection.close()


def test_page_is_whole_and_no_answer_is_stored(view: WebView) -> None:
    status, headers, body = ask(view, "GET", "/")
    assert status == 200
    assert b"</html>" in body
    assert b"http://" not in body  # nothing from elsewhere
    assert b"https://" not in body
    for path in ("/", "/nothing-here"):
        _, headers, _ = ask(view, "GET", path)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Server" not in headers


def test_a_single_picture_arrives_whole_before_there_is_a_second(view: WebView) -> None:
    view.show(picture(77), {})
    stream = Stream(view)
    got = stream.read()
    assert got.shape == (240, 320, 3)
    assert abs(int(got.mean()) - 77) <= 2
    view.show(picture(150, 100, 60), {})  # another size midway
    assert stream.read().shape == (100, 60, 3)
    stream.close()


def test_two_clients_see_the_same_picture_encoded_once(view: WebView) -> None:
    first, second = Stream(view), Stream(view)
    wait_until(lambda: view.watchers == 2, "two watchers")
    assert view.encoded == 0
    view.show(picture(90), {})
    assert abs(int(first.read().mean()) - 90) <= 2
    assert abs(int(second.read().mean()) - 90) <= 2
    assert view.encoded == 1
    first.close()
    second.close()


def test_nothing_is_encoded_while_nobody_watches(view: WebView) -> None:
    for number in range(50):
        view.show(picture(number), {})
    ask(view, "GET", "/")  # the server has run since
    assert view.encoded == 0


def test_a_still_picture_is_sent_again_without_encoding_it_again(view: WebView) -> None:
    view.show(picture(40), {})
    stream = Stream(view)
    assert stream.read().mean() == pytest.approx(stream.read().mean())
    assert view.encoded == 1
    stream.close()


def test_a_slow_client_skips_pictures_and_then_sees_a_late_one(view: WebView) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    stream = Stream(view)
    shown = 150
    for number in range(shown):  # 0.9 MB each as JPEG: far more than any buffer
        marked = noise.copy()
        marked[:64, :64] = number
        view.show(marked, {})
        time.sleep(0.005)
    seen = []
    while not seen or seen[-1] < shown - 3:
        seen.append(round(float(stream.read()[16:48, 16:48].mean())))
        assert len(seen) < 20, f"old pictures were queued: {seen}"
    assert view.encoded < shown / 2
    stream.close()


def test_a_client_that_vanishes_is_forgotten_even_when_the_picture_is_still(view: WebView) -> None:
    view.show(picture(1), {})
    stream = Stream(view)
    stream.read()
    assert view.watchers == 1
    stream.close()
    wait_until(lambda: view.watchers == 0, "the watcher is gone")
    assert ask(view, "GET", "/")[0] == 200


def test_stats_arrive_and_change(view: WebView) -> None:
    view.show(picture(0), {"fps": 12.5, "status": "xoài", "detections": 3})
    connection = http.client.HTTPConnection("127.0.0.1", port_of(view), timeout=5)
    connection.request("GET", "/stats")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")

    def event() -> Any:
        line = answer.readline()
        assert answer.readline() == b"\n"
        return json.loads(line.removeprefix(b"data: "))

    assert event() == {"fps": 12.5, "status": "xoài", "detections": 3}
    view.show(picture(0), {"fps": 13.0})
    wait_until(lambda: event() == {"fps": 13.0}, "the new figures")
    connection.close()


def test_stats_json_is_json_for_browsers() -> None:
    text = stats_json(
        {"a": float("nan"), "b": float("inf"), "c": np.float32(0.5), "d": np.int64(3)}
    )
    assert json.loads(text) == {"a": None, "b": None, "c": 0.5, "d": 3}
    assert "NaN" not in text


def test_keys_come_in_order_and_once(view: WebView) -> None:
    origin = {"Origin": view.url.rstrip("/")}
    for key in ("%20", "%2B", "-", "s", "h", "esc", "q"):
        assert ask(view, "POST", f"/key/{key}", origin)[0] == 204
    assert view.keys() == [" ", "+", "-", "s", "h", "esc", "q"]
    assert view.keys() == []


def test_unknown_keys_and_other_methods_are_refused(view: WebView) -> None:
    origin = {"Origin": view.url.rstrip("/")}
    assert ask(view, "POST", "/key/x", origin)[0] == 404
    assert ask(view, "GET", "/key/q", origin)[0] == 405
    assert view.keys() == []


def test_close_with_watching_and_stalled_clients_ends_the_thread_and_frees_the_port() -> None:
    view = WebView(port=0)
    port = port_of(view)
    view.show(np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8), {})
    watching, stalled = Stream(view), Stream(view)  # the second never reads on
    watching.read()
    view.close()
    view.close()
    assert not any(thread.name == "detector-web" for thread in threading.enumerate())
    again = WebView(port=port)
    assert ask(again, "GET", "/")[0] == 200
    again.close()
    watching.close()
    stalled.close()
