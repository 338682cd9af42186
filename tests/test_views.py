"""Windows: when none can open we say so instead of dying; a real one gives keys and its closing."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from x_server import ask_to_close, xdotool

from detector import display
from detector.errors import DetectorError
from detector.views import NoView, first_size, key_name, open_view, window_problem

ROOT = Path(__file__).parents[1]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is Linux's")
DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python apart: a window that fails may take the process along."""
    clean = {key: value for key, value in os.environ.items() if key not in DISPLAY_VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean, "PYTHONPATH": str(ROOT), **env},
    )


OPEN = """
from detector import display
from detector.errors import DetectorError
if display._gui_backend() == "NONE":  # ask the display all the same
    display._gui_backend = lambda: "GTK3"
from detector.views import open_view
try:
    open_view("window")
except DetectorError as error:
    print(error)
"""


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in DISPLAY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_no_view_takes_everything_and_says_nothing() -> None:
    view = open_view("none")
    assert isinstance(view, NoView)
    view.show(np.zeros((1, 1, 3), np.uint8), {})
    assert view.keys() == []
    view.close()
    view.close()


def test_an_unknown_view_lists_the_known() -> None:
    with pytest.raises(DetectorError, match="window, web or none"):
        open_view("hologram")


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (ord("q"), "q"),
        (ord("S"), "s"),
        (27, "esc"),
        (32, " "),
        (ord("="), "+"),
        (0xFFAB, "+"),
        (0xFFAD, "-"),
        (0x100000 | ord("h"), "h"),  # NumLock under GTK
        (0xFF51, ""),  # left arrow: its low byte is "Q"
        (0xFF53, ""),  # right arrow: its low byte is "S"
        (0xFFE1, ""),  # shift
        (ord("x"), ""),
    ],
)
def test_key_name(code: int, key: str) -> None:
    assert key_name(code) == key


@pytest.mark.parametrize(
    ("picture", "window"),
    [((768, 576), (768, 576)), ((3840, 2160), (1280, 720)), ((1, 1), (320, 120))],
)
def test_first_size(picture: tuple[int, int], window: tuple[int, int]) -> None:
    assert first_size(*picture) == window


@linux_only
def test_without_a_display_the_process_lives_and_tells_the_way_out() -> None:
    done = run(OPEN)
    assert done.returncode == 0, done.stderr
    assert "no display" in done.stdout
    assert "--view web" in done.stdout
    assert done.stdout.count("\n") == 1


@linux_only
@pytest.mark.parametrize("display_name", [":7731", "localhost:7731.0", "nonsense", "a:b:c"])
def test_a_stale_display_is_noticed_before_qt_aborts(display_name: str) -> None:
    done = run(OPEN, DISPLAY=display_name)
    assert done.returncode == 0, done.stderr
    assert f"the display {display_name} does not answer" in done.stdout


@linux_only
def test_a_display_that_listens_but_refuses_is_noticed() -> None:
    with socket.socket(socket.AF_INET) as server:
        server.bind(("127.0.0.1", 0))
        number = server.getsockname()[1] - 6000
        server.listen()
        # Hang up on whoever connects, as a server does that lacks our cookie.
        process = subprocess.Popen(
            [sys.executable, "-c", OPEN],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": f"127.0.0.1:{number}"},
        )
        server.settimeout(0.2)
        while process.poll() is None:
            with contextlib.suppress(TimeoutError):
                server.accept()[0].close()
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "does not answer" in out


@linux_only
def test_wayland_alone_needs_a_plug_in_for_it(
    no_display: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_display.setenv("WAYLAND_DISPLAY", "wayland-0")
    no_display.setattr(display, "_gui_backend", lambda: "QT5")
    no_display.setattr(display, "_qt_plugins", lambda: {"xcb": tmp_path / "libqxcb.so"})
    assert "only Wayland" in str(window_problem())
    no_display.setattr(display, "_gui_backend", lambda: "GTK3")
    assert window_problem() is None


@linux_only
def test_a_plug_in_that_lacks_a_library_is_named(
    no_display: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "libqxcb.so"
    broken.write_bytes(b"not a library")
    no_display.setenv("DISPLAY", ":0")
    no_display.setattr(display, "x_display_answers", lambda _: True)
    no_display.setattr(display, "_gui_backend", lambda: "QT5")
    no_display.setattr(display, "_qt_plugins", lambda: {"xcb": broken})
    problem = window_problem()
    assert problem is not None
    assert "cannot load libqxcb.so" in problem


def test_opencv_without_windows_gives_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "General configuration\n  GUI:                           NONE\n    VTK support: NO\n"
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: told)
    problem = window_problem()
    assert problem is not None
    assert "pip uninstall -y opencv-python-headless && " in problem
    assert "--view web" in problem
    assert "\n" not in problem


WINDOW = """
import sys, numpy as np
from detector.views import open_view
view = open_view("window")
image = np.full((300, 600, 3), (0, 0, 255), np.uint8)
for _ in range(3000):
    view.show(image, {})
    for key in view.keys():
        print(repr(key), flush=True)
        if key == "closed":
            view.show(image, {})  # must not open it again
            assert view.keys() == []
            view.close()
            sys.exit()
    if _ == 3:
        print("shown", flush=True)
"""


def screen_colours(name: str) -> tuple[int, int]:
    """(red pixels, width of the red) on the screen, to see the window's picture and its aspect."""
    grab = pytest.importorskip("PIL.ImageGrab")
    screen = np.asarray(grab.grab(xdisplay=name).convert("RGB"))
    red = (screen[..., 0] > 200) & (screen[..., 1] < 50)
    return int(red.sum()), int(red.any(0).sum())


@pytest.mark.slow
@linux_only
def test_a_real_window_gives_keys_keeps_its_aspect_and_tells_its_closing(x_display: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": x_display}
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )

    try:
        assert window.stdout is not None
        assert window.stdout.readline() == "shown\n"
        place = xdotool(x_display, "search --sync --onlyvisible --name ^detector$").split()[-1]
        xdotool(x_display, f"windowfocus --sync {place}")
        expected = {"q": "q", "Escape": "esc", "space": " ", "s": "s", "plus": "+", "h": "h"}
        expected |= {"equal": "+", "KP_Add": "+", "minus": "-", "KP_Subtract": "-"}
        xdotool(x_display, "key Left")  # nothing must come of it
        for pressed, key in expected.items():
            xdotool(x_display, f"key {pressed}")
            assert window.stdout.readline() == f"{key!r}\n"
        xdotool(x_display, f"windowsize --sync {place} 400 700")
        end = time.monotonic() + 10
        fits = False
        while not fits and time.monotonic() < end:  # the window is painted anew in steps
            time.sleep(0.1)
            pixels, width = screen_colours(x_display)
            # As wide as the window, and half as high: 2 to 1 as the picture.
            fits = width >= 390 and pixels / width**2 == pytest.approx(0.5, abs=0.05)
        assert fits, f"{pixels} pixels of the picture, {width} wide"
        ask_to_close(x_display, int(place))
        assert window.stdout.readline() == "'closed'\n"
        assert window.wait(20) == 0, window.stderr and window.stderr.read()
    finally:
        window.kill()
        window.wait()
