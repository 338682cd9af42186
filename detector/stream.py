"""Cameras and network streams: a thread that holds only the newest frame and survives a loss."""

from __future__ import annotations

import atexit
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2

from detector.errors import SourceLostError
from detector.frame import Frame
from detector.images import UInt8
from detector.video import next_image, nominal_fps

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
STALLED_S = 2.0  # without a frame for so long, the status says so
HUNG_S = 60.0  # a driver that has not come back for so long never will


@dataclass(frozen=True)
class Connection:
    """An open capture that has proved itself by its first frame."""

    capture: cv2.VideoCapture
    first_image: UInt8


Opener = Callable[[], cv2.VideoCapture]


def connect(opener: Opener) -> Connection | None:
    """Open and read one frame; None when either fails. Some drivers open a busy camera gladly."""
    capture = opener()
    image = next_image(capture) if capture.isOpened() else None
    if image is None:
        capture.release()
        return None
    return Connection(capture, image)


def backoff_s(attempt: int, first_wait_s: float = FIRST_WAIT_S) -> float:
    """Seconds to wait before try 1, 2, ...: doubling up to LONGEST_WAIT_S, plus up to 10 %.

    The jitter keeps many clients of one camera from coming back at the same instant.
    """
    return min(LONGEST_WAIT_S, first_wait_s * 2.0 ** (attempt - 1)) * random.uniform(1.0, 1.1)


class LiveSource:
    """A Source over a camera or stream: `read` takes the newest frame, older ones are dropped.

    When a read fails or stalls (the opener sets the time limits), the capture is released and
    opened again, up to `retry` times in a row with growing waits; any frame resets the count.
    """

    is_live = True

    def __init__(
        self,
        opener: Opener,
        connection: Connection,
        description: str,
        *,
        retry: int = 10,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        """Takes over `connection` (from `connect(opener)`) and starts capturing at once."""
        self.description = description
        self.fps = nominal_fps(connection.capture)
        self.dropped = 0
        self.warnings: list[str] = []
        self._opener = opener
        self._retry = retry
        self._first_wait_s = first_wait_s
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._count = 0
        self._status = ""
        self._alive_at = time.perf_counter()
        self._closed = False
        self._error: Exception | None = None
        # A daemon: a capture blocked inside a driver must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="capture", daemon=True
        )
        # A thread that returns from C++ while Python shuts down aborts the process (before 3.14).
        atexit.register(self.close)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """A live source ends only when it is closed or lost."""
        return self._closed or self._error is not None

    @property
    def status(self) -> str:
        """Empty while frames flow, else what is being done about it."""
        silent_s = time.perf_counter() - self._alive_at
        if not self._status and silent_s > STALLED_S:
            return f"no frame for {silent_s:.0f} s"
        return self._status

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame not read before; None when none came within `timeout_s`.

        Raises SourceLostError once all tries to reconnect have failed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is not None or self.ended, max(0.0, timeout_s)
            )
            frame, self._newest = self._newest, None
            if frame is not None or self._closed:
                return frame
            if self._error is not None:
                raise self._error
        if time.perf_counter() - self._alive_at > HUNG_S:
            raise SourceLostError(
                f"{self.description}: hangs, its driver gave neither frame nor error for "
                f"{HUNG_S:.0f} s; unplug it or restart it, then start again"
            )
        return None

    def close(self) -> None:
        """Stop capturing; the thread releases the device itself as soon as the driver lets it."""
        with self._changed:
            self._closed = True
            self._newest = None
            self._changed.notify_all()
        self._thread.join(1.0)
        atexit.unregister(self.close)

    def _run(self, connection: Connection | None) -> None:
        try:
            while connection is not None:
                self._capture(connection)
                if self._closed:
                    return
                connection = self._reconnect()
            if not self._closed:
                raise SourceLostError(
                    f"{self.description}: lost, and {self._retry} tries to reconnect failed; "
                    "is it on, plugged in and reachable? Then start again, or raise --retry"
                )
        except Exception as error:  # carried to the reader's thread, where it is raised
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _capture(self, connection: Connection) -> None:
        """Publish frames until the source fails or is closed, then release it."""
        self.fps = nominal_fps(connection.capture)
        image: UInt8 | None = connection.first_image
        try:
            while image is not None and not self._closed:
                self._publish(image)
                image = next_image(connection.capture)
        finally:
            connection.capture.release()

    def _publish(self, image: UInt8) -> None:
        now = time.perf_counter()
        with self._changed:
            if self._closed:
                return
            self.dropped += self._newest is not None
            self._newest = Frame(image, self._count, now)
            self._count += 1
            self._alive_at = now
            self._status = ""
            self._changed.notify_all()

    def _reconnect(self) -> Connection | None:
        """Wait and open again, up to `retry` times; None when closed meanwhile or all failed."""
        for attempt in range(1, self._retry + 1):
            wait_s = backoff_s(attempt, self._first_wait_s)
            self._status = f"connection lost, retry {attempt}/{self._retry} in {wait_s:.1f} s"
            with self._changed:
                if self._changed.wait_for(lambda: self._closed, wait_s):
                    return None
            self._status = f"connection lost, retry {attempt}/{self._retry} now"
            self._alive_at = time.perf_counter()
            connection = connect(self._opener)
            if connection is not None:
                return connection
        return None
