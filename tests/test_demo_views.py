"""The demo's page in a real headless Chromium and its window on a real X server. All slow."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from demo_process import Start, rows_so_far
from waiting import wait_until
from x_server import ask_to_close, xdotool

ROOT = Path(__file__).parents[1]
SERVERS = Path(__file__).parent / "stream_servers"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's GStreamer bindings belong to Debian's Python
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them"),
]


class Rtsp:
    """An RTSP server on 127.0.0.1, restarted on the same port with other frame sizes."""

    def __init__(self) -> None:
        self.port, self.process = 0, None

    def serve(self, width: int, height: int) -> str:
        words = [str(self.port), str(width), str(height)]
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVERS / "rtsp_server.py"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        if line[:1] != ["ready"]:
            self.kill()
            pytest.skip("needs gir1.2-gst-rtsp-server-1.0 and python3-gi")
        self.port = int(line[1])
        return f"rtsp://anna:secret@127.0.0.1:{self.port}/test"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def rtsp() -> Iterator[Rtsp]:
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"needs Debian's {SYSTEM_PYTHON}")
    server = Rtsp()
    yield server
    server.kill()


CANVAS = """
const image = document.getElementById("picture"), canvas = document.createElement("canvas");
canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
canvas.getContext("2d").drawImage(image, 0, 0);
return canvas.toDataURL();
"""
PRESS = "fetch('/key/' + encodeURIComponent(arguments[0]), {method: 'POST'})"


def address_of(folder: Path) -> str:
    def look() -> str:
        said = (folder / "said").read_text()
        return said.partition("watch it at ")[2].partition(" ")[0]

    return str(wait_until(look, "the page's address"))


def text_of(browser: Any, name: str) -> str:
    return str(browser.execute_script(f"return document.getElementById('{name}').textContent"))


def test_the_page_of_a_live_stream_that_dies_and_comes_back(
    start: Start, tmp_path: Path, rtsp: Rtsp, browser: Any
) -> None:
    process = start(f"--source {rtsp.serve(320, 240)} --view web --port 0")
    browser.get(address_of(tmp_path))
    width = "return document.getElementById('picture').naturalWidth"
    wait_until(lambda: browser.execute_script(width) == 320, "the picture")
    rtsp.kill()
    body = "return document.body.innerText"
    wait_until(
        lambda: "connection lost, retry 1/10" in browser.execute_script(body),
        "the loss on the page",
    )
    rtsp.serve(640, 360)
    wait_until(lambda: browser.execute_script(width) == 640, "the picture of the second size")
    wait_until(
        lambda: "connection lost" not in browser.execute_script(body), "the loss is forgotten"
    )
    browser.execute_script(PRESS, "q")
    assert process.wait(30) == 0, (tmp_path / "said").read_text()


def test_the_page_shows_frames_and_its_buttons_work(
    start: Start, tmp_path: Path, browser: Any
) -> None:
    process = start("--source sample --loop --view web --port 0 --json out.jsonl")
    browser.get(address_of(tmp_path))
    wait_until(lambda: text_of(browser, "link") == "live", "the page says live")
    first = wait_until(lambda: browser.execute_script(CANVAS), "a picture")
    wait_until(lambda: browser.execute_script(CANVAS) != first, "the picture moves")
    # Until it is measured the page shows a dash.
    wait_until(lambda: float(text_of(browser, "fps").strip("\N{EN DASH}") or 0) > 5, "the rate")
    buttons = {
        button.get_attribute("data-key"): button
        for button in browser.find_elements("css selector", "button")
    }
    buttons["+"].click()
    wait_until(lambda: "threshold 0.55" in (tmp_path / "said").read_text(), "the threshold")
    buttons[" "].click()
    time.sleep(0.5)
    paused_at = len(rows_so_far(tmp_path))
    time.sleep(0.5)
    assert len(rows_so_far(tmp_path)) == paused_at
    buttons[" "].click()
    wait_until(lambda: len(rows_so_far(tmp_path)) > paused_at + 5, "it goes on")
    buttons["q"].click()
    assert process.wait(30) == 0, (tmp_path / "said").read_text()
    rows = rows_so_far(tmp_path)
    assert [row["frame"] for row in rows] == list(range(len(rows)))


def test_the_window_takes_keys_and_ends_on_q(start: Start, tmp_path: Path, x_display: str) -> None:
    process = start("--source sample --loop --json out.jsonl", DISPLAY=x_display)
    window = xdotool(x_display, "search --sync --onlyvisible --name ^detector$").split()[-1]
    wait_until(lambda: len(rows_so_far(tmp_path)) > 5, "frames")
    xdotool(x_display, f"windowfocus --sync {window}")
    xdotool(x_display, "key minus")
    wait_until(lambda: "threshold 0.45" in (tmp_path / "said").read_text(), "the threshold")
    xdotool(x_display, "key s")
    wait_until(lambda: "saved snapshots" in (tmp_path / "said").read_text(), "the snapshot")
    assert sorted(p.suffix for p in (tmp_path / "snapshots").iterdir()) == [".jpg", ".json"]
    xdotool(x_display, "key q")
    assert process.wait(30) == 0, (tmp_path / "said").read_text()
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert len(rows_so_far(tmp_path)) > 5


def test_a_picture_stays_until_its_window_is_closed(
    start: Start, tmp_path: Path, x_display: str
) -> None:
    video = cv2.VideoCapture(str(ROOT / "detector" / "assets" / "sample.mp4"))
    cv2.imwrite(str(tmp_path / "one.png"), video.read()[1])
    process = start("--source one.png --view window", DISPLAY=x_display)
    window = xdotool(x_display, "search --sync --onlyvisible --name ^detector$").split()[-1]
    time.sleep(2)
    assert process.poll() is None
    ask_to_close(x_display, int(window))
    assert process.wait(30) == 0, (tmp_path / "said").read_text()
