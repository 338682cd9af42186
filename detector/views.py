"""Where the annotated picture is shown: a desktop window, a browser page, or nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from detector.display import window_problem
from detector.errors import DetectorError

__all__ = ["NoView", "Stats", "View", "WindowView", "open_view", "window_problem"]

UInt8 = npt.NDArray[np.uint8]
Stats = Mapping[str, float | int | str]

# Codes of `cv2.pollKey` in their low 16 bits. Only whole codes are compared: cut to 8 bits, as
# `waitKey` does it, the left arrow (0xff51) would read "Q" and quit, the right one save a picture.
_KEY_CODES = {
    0x1B: "esc",
    0xFF1B: "esc",
    0xFFAB: "+",  # numpad, GTK
    0xFFAD: "-",  # numpad, GTK
    ord("="): "+",  # plus without shift on a US keyboard
    ord("_"): "-",
    **{ord(key): key for key in "q s+-h"},
    **{ord(key.upper()): key for key in "qsh"},
}
_FIRST_SIZE_WH = (1280, 720)  # a new window stays inside this, whatever the picture's size
_SMALLEST_WH = (320, 120)


class View(Protocol):
    """Shows the newest picture and hands back what was pressed; all calls from one thread."""

    def show(self, image_bgr: UInt8, stats: Stats) -> None:
        """Show an annotated (H, W, 3) picture. The view may keep it: do not draw on it again."""

    def keys(self) -> list[str]:
        """Keys since the last call: "q", "esc", " ", "s", "+", "-", "h"; "closed" comes once."""

    def close(self) -> None:
        """Free window or server; a second call does nothing."""


class NoView:
    """Shows nothing and has no keys: for measuring, saving and machines without a screen."""

    def show(self, image_bgr: UInt8, stats: Stats) -> None:
        """Drop the picture."""

    def keys(self) -> list[str]:
        """No keys, ever."""
        return []

    def close(self) -> None:
        """Nothing to free."""


class WindowView:
    """A resizable desktop window that keeps the picture's aspect.

    Raises DetectorError where no window can be opened; asks `window_problem` first, since a
    failed attempt would abort the process.
    """

    def __init__(self, title: str) -> None:
        problem = window_problem()
        if problem is not None:
            raise DetectorError(problem)
        self._title = title
        self._sized = self._was_visible = self._closed = False
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(title, flags)
        except cv2.error as error:
            reason = str(error).strip().splitlines()[-1]
            raise DetectorError(
                f"--view window: OpenCV could not open a window ({reason}); use --view web"
            ) from error

    def show(self, image_bgr: UInt8, stats: Stats) -> None:
        """Put the picture up; it appears at the next `keys`, which runs the window's events."""
        if self._closed:  # imshow would open a new window
            return
        if not self._sized:
            height, width = image_bgr.shape[:2]
            cv2.resizeWindow(self._title, *first_size(width, height))
            self._sized = True
        cv2.imshow(self._title, image_bgr)

    def keys(self) -> list[str]:
        """Run the window's events (about 2 ms under Qt) and return the keys known to us."""
        if self._closed:
            return []
        pressed: list[str] = []
        # As cheap as waitKey(1) under Qt (2.2 ms each), without a wait elsewhere, and not cut to
        # 8 bits. One call gives one key: go on until there is none.
        while (code := cv2.pollKey()) != -1 and len(pressed) < 32:
            pressed.append(key_name(code))
        if self._visible():
            self._was_visible = True
        elif self._was_visible:
            self._closed = True
            pressed.append("closed")
        return [key for key in pressed if key]

    def _visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # some backends raise for a window that is gone
            return False

    def close(self) -> None:
        """Take the window down."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(cv2.error):
                cv2.destroyWindow(self._title)
                cv2.pollKey()  # lets the backend carry it out


def open_view(kind: str, *, host: str = "127.0.0.1", port: int = 8000) -> View:
    """The view called `kind`: "window", "web" (served on host:port) or "none".

    Raises DetectorError for another kind, where no window can open, and where the port is taken.
    """
    if kind == "none":
        return NoView()
    if kind == "window":
        return WindowView("detector")
    if kind == "web":
        from detector.web import WebView  # starlette and uvicorn: loaded only when asked for

        return WebView(host=host, port=port)
    raise DetectorError(f"--view {kind}: no such view; choose window, web or none")


def key_name(code: int) -> str:
    """Our name for a code of `cv2.pollKey` / `waitKeyEx`; "" for a key that means nothing here."""
    return _KEY_CODES.get(code & 0xFFFF, "")  # above are GTK's modifiers, such as NumLock


def first_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) in pixels of a new window: the picture's, fitted to a common screen."""
    scale = min(_FIRST_SIZE_WH[0] / width, _FIRST_SIZE_WH[1] / height, 1.0)
    return max(round(width * scale), _SMALLEST_WH[0]), max(round(height * scale), _SMALLEST_WH[1])
