"""The demo's page in a real headless Chromium and its window on a real X server. All slow."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

ROOT = Path(__file__).parents[1]
SERVERS = Path(__file__).parent / "stream_servers"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's GStreamer bindings belong to Debian's Python
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them"),
]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `demo.py WORDS` in tmp_path, its stderr going to a file `said`; killed at the end."""
    processes: list[subprocess.Popen[str]] = []

    def begin(words: str, **env: str) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "demo.py"), *words.split()],
                cwd=tmp_path,
                env={**clean, "PYTHONPATH": str(ROOT), **env},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def wait_until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def rows_so_far(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the file under way or finished."""
    paths = [*folder.glob(".out.*.part.jsonl"), *folder.glob("out.jsonl")]
    text = paths[0].read_text() if paths else ""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


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


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (apt: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    folder = tmp_path_factory.mktemp("chromium")
    for flag in (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        f"--disable-dev-shm-usage --window-size=1280,900 --user-data-dir={folder}"
    ).split():
        options.add_argument(flag)
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


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
    fps = wait_until(lambda: float(text_of(browser, "fps") or 0) > 5, "the rate")
    assert fps
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


@pytest.fixture
def x_display() -> Iterator[str]:
    """A real X server on a display of its own."""
    if not all(map(shutil.which, ("Xvfb", "xdotool"))):
        pytest.skip("Xvfb and xdotool are not installed (apt: xvfb xdotool)")
    if "GUI:                           NONE" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has no windows")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1000x800x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        yield f":{answer.readline().strip()}"
    server.terminate()
    server.wait(10)


def xdotool(display: str, words: str) -> str:
    env = {**os.environ, "DISPLAY": display}
    done = subprocess.run(["xdotool", *words.split()], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, padded to the size of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 16),
    )


def ask_to_close(name: str, window: int) -> None:
    """What a window manager sends when the user clicks the close button (there is none here)."""
    xlib = ctypes.CDLL("libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    xlib.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(xlib.XOpenDisplay(name.encode()))
    event = ClientMessage(type=33, display=connection, window=window, format=32)
    event.message_type = xlib.XInternAtom(connection, b"WM_PROTOCOLS", 0)
    event.data[0] = xlib.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    mask = ctypes.c_long(0)
    assert xlib.XSendEvent(connection, ctypes.c_ulong(window), 0, mask, ctypes.byref(event))
    xlib.XCloseDisplay(connection)


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
