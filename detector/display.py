"""Whether a desktop window can be opened here: asked before OpenCV is, which aborts if not."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import sys
import time
from pathlib import Path

import cv2

GUI_FIX = (
    "pip uninstall -y opencv-python-headless && "
    "pip install --force-reinstall --no-deps opencv-python"
)


def window_problem() -> str | None:
    """Why no window can be opened here, in one line with the fix; None where one can.

    On Linux the display, and Qt's plug-in for it, are tried before OpenCV is: it would abort.
    """
    backend = _gui_backend()
    if backend == "NONE":
        return f"--view window: this OpenCV has no windows; use --view web, or mend it: {GUI_FIX}"
    if not sys.platform.startswith("linux"):
        return None
    plugins = _qt_plugins() if backend.startswith("QT") else {}
    problem = _display_problem(can_wayland="wayland" in plugins or not plugins)
    if problem is None and "xcb" in plugins:
        problem = _plugin_problem(plugins["xcb"])
    return f"--view window: {problem}; use --view web or --view none" if problem else None


def _gui_backend() -> str:
    """OpenCV's window toolkit in capitals, such as QT5, GTK3, COCOA or NONE; "" when not told."""
    found = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    return found.group(1).upper() if found else ""


def _qt_plugins() -> dict[str, Path]:
    """Name -> library of the platform plug-ins that pip's OpenCV carries (Linux: xcb alone)."""
    folder = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    return {path.stem.removeprefix("libq"): path for path in folder.glob("libq*.so")}


def _display_problem(can_wayland: bool) -> str | None:
    display, wayland = os.environ.get("DISPLAY", ""), os.environ.get("WAYLAND_DISPLAY", "")
    if wayland and can_wayland:
        return None
    if display:
        return None if x_display_answers(display) else f"the display {display} does not answer"
    if wayland:
        return "this OpenCV needs X11 and only Wayland is running (install xwayland)"
    return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"


def _plugin_problem(plugin: Path) -> str | None:
    """Why Qt could not load its plug-in (a bare container lacks libraries), or None."""
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return f"Qt cannot load {plugin.name} ({error}); install the library that is missing"
    return None


def x_display_answers(display: str, tries: int = 3) -> bool:
    """Whether an X server is at `display` (`:0`, `host:10.0`) and lets us in.

    Asked more than once: Xvfb starts anew, and is deaf meanwhile, when its last client leaves.
    """
    found = re.fullmatch(r"(?:unix)?([^:]*):(\d+)(?:\.\d+)?", display)
    if found is None:
        return False
    host, number = found.group(1), int(found.group(2))
    path = f"/tmp/.X11-unix/X{number}"  # Linux has it as a file, in the abstract space or both
    places: list[str | tuple[str, int]] = [(host, 6000 + number)] if host else [path, "\0" + path]
    for attempt in range(tries):
        if attempt:
            time.sleep(0.15)
        answers = _xcb_connects(display) if not host or _connects(places[0]) else False
        if answers is None:  # no libxcb: somebody listens, and that has to do
            answers = any(_connects(place) for place in places)
        if answers:
            return True
    return False


def _connects(place: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        try:
            trial.connect(place)
        except (OSError, OverflowError):
            return False
    return True


def _xcb_connects(display: str) -> bool | None:
    """Whether libxcb gets through the handshake, cookie included; None without the library.

    A connection that succeeds stays open: if it were Xvfb's last one, closing it would make the
    server start anew, and OpenCV, connecting meanwhile, would abort.
    """
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return None
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(display.encode(), None))
    if not xcb.xcb_connection_has_error(connection):
        return True
    xcb.xcb_disconnect(connection)
    return False
