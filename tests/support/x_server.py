"""A real X server and what a person does to its windows."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from detector import display


def x_server() -> Iterator[str]:
    """The display name of an Xvfb of its own, or a skip that says what is missing."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("Xvfb and xdotool are not installed (apt: xvfb xdotool)")
    if display._gui_backend() == "NONE":
        pytest.skip(f"this OpenCV has no windows ({display.GUI_FIX})")
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


def xdotool(display_name: str, words: str) -> str:
    """What xdotool prints for a command."""
    env = {**os.environ, "DISPLAY": display_name}
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


def ask_to_close(display_name: str, window: int) -> None:
    """What a window manager sends when the user clicks the close button (there is none here)."""
    xlib = ctypes.CDLL("libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    xlib.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(xlib.XOpenDisplay(display_name.encode()))
    event = ClientMessage(type=33, display=connection, window=window, format=32)  # ClientMessage
    event.message_type = xlib.XInternAtom(connection, b"WM_PROTOCOLS", 0)
    event.data[0] = xlib.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    no_mask = ctypes.c_long(0)
    assert xlib.XSendEvent(connection, ctypes.c_ulong(window), 0, no_mask, ctypes.byref(event))
    xlib.XCloseDisplay(connection)
