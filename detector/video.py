"""Video files and folders of pictures: every frame, in order, decoded ahead of the reader."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path

import cv2

from detector.errors import DetectorError
from detector.frame import Frame
from detector.images import UInt8, as_bgr, read_image

# Enough to keep the decoder busy while one frame is inferred; at 4K it holds 100 MB.
DECODE_AHEAD = 4
Pictures = Generator[tuple[UInt8, str], None, None]


def ffmpeg_backend() -> int:
    """OpenCV's FFmpeg where the build has it (pip's has), else whatever the build prefers."""
    has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    return cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY


def nominal_fps(capture: cv2.VideoCapture) -> float | None:
    """Frames a second by the header, or None when it says nothing sensible."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= 1000 else None


class DecodeAhead:
    """A Source that runs a generator of pictures in its own thread, a few frames ahead.

    Decoding (which frees the GIL) thus overlaps with inference, and memory stays bounded because
    the thread waits while DECODE_AHEAD frames are unread.
    """

    is_live = False
    status = ""
    dropped = 0

    def __init__(
        self, pictures: Pictures, description: str, fps: float | None, warnings: list[str]
    ) -> None:
        """`pictures` yields ((H, W, 3) BGR, name); it may append to `warnings` as it goes.

        Waits for the first picture and raises what the generator raises before it.
        """
        self.description = description
        self.fps = fps
        self.warnings = warnings
        self._pictures = pictures
        self._ready: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="decode-ahead", daemon=True)
        # A thread that returns from C++ while Python shuts down aborts the process (before 3.14).
        atexit.register(self.close)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._finished)
            error = None if self._ready else self._error
        if error is not None:
            self.close()
            raise error

    @property
    def ended(self) -> bool:
        """True once the last frame was read, or after `close`."""
        with self._changed:
            return self._closed or (self._finished and not self._ready)

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; None when the decoder needs longer than `timeout_s` or `ended`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ready or self._finished or self._closed, max(0.0, timeout_s)
            )
            if self._closed:
                return None
            if self._ready:
                self._changed.notify_all()
                return self._ready.popleft()
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        """Stop the decoder; it releases the file itself after the frame it is at."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join(1.0)
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            for index, (image, name) in enumerate(self._pictures):
                frame = Frame(image, index, time.perf_counter(), name)
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < DECODE_AHEAD or self._closed)
                    if self._closed:
                        break
                    self._ready.append(frame)
                    self._changed.notify_all()
        except Exception as error:  # carried to the reader's thread, where it is raised
            self._error = error
        finally:
            self._pictures.close()  # runs the generator's own clean-up: the file is released
            with self._changed:
                self._finished = True
                self._changed.notify_all()


def open_video(location: str, description: str, *, loop: bool = False) -> DecodeAhead:
    """A Source over a video file (or the address of one); `loop` starts again at its end.

    Raises DetectorError when it cannot be opened or holds no readable frame. A file that promises
    more frames than it holds ends after those it holds and says so in `warnings`.
    """
    capture = cv2.VideoCapture(location, ffmpeg_backend())
    fps = nominal_fps(capture)
    warnings: list[str] = []
    frames = _video_frames(capture, location, description, loop, warnings)
    return DecodeAhead(frames, description, fps, warnings)


def _video_frames(
    capture: cv2.VideoCapture, location: str, description: str, loop: bool, warnings: list[str]
) -> Pictures:
    """The frames of an opened video, then, when looping, of the same file opened anew.

    Opening anew instead of seeking: a cut file has no index to seek by.
    """
    while True:
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        count = 0
        try:
            while (image := next_image(capture)) is not None:
                yield image, ""
                count += 1
        finally:
            capture.release()
        if count == 0:
            raise DetectorError(
                f"{description}: no frame can be read, expected a video (MP4, MKV, AVI, MOV, WebM) "
                "or a picture; it may be cut, damaged or of another kind: copy or convert it"
            )
        # A count estimated from the duration may be a frame or two off; that is no news.
        if promised - count > max(2.0, 0.01 * promised) and not warnings:
            warnings.append(
                f"{description}: {count} frames could be read, its header promises "
                f"{promised:.0f}; the file is cut short or its header is wrong"
            )
        if not loop:
            return
        capture = cv2.VideoCapture(location, ffmpeg_backend())


def next_image(capture: cv2.VideoCapture) -> UInt8 | None:
    """The next frame (H, W, 3) BGR of a capture, or None at its end or on failure."""
    try:
        ok, image = capture.read()
    except cv2.error:
        return None
    return as_bgr(image) if ok and image is not None and image.size else None


def open_pictures(paths: Sequence[Path], description: str, *, loop: bool = False) -> DecodeAhead:
    """A Source over picture files in the order given; `loop` starts again after the last.

    Unreadable ones are left out and named with their count in `warnings`.
    Raises DetectorError when none can be read.
    """
    warnings: list[str] = []
    return DecodeAhead(_pictures(paths, description, loop, warnings), description, None, warnings)


def _pictures(paths: Sequence[Path], description: str, loop: bool, warnings: list[str]) -> Pictures:
    unreadable: dict[Path, DetectorError] = {}
    while True:
        for path in paths:
            try:
                image = read_image(path)
            except DetectorError as error:
                unreadable[path] = error
                continue
            yield image, path.name
        if len(unreadable) == len(paths):
            if len(paths) == 1:
                raise unreadable[paths[0]]
            reason = next(iter(unreadable.values()))
            raise DetectorError(
                f"{description}: none of the {len(paths)} pictures can be read; {reason}"
            )
        if unreadable:
            reasons = [str(error) for error in unreadable.values()]
            more = f" | and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            warnings[:] = [
                f"{description}: {len(reasons)} of {len(paths)} pictures could not be read: "
                + " | ".join(reasons[:3])
                + more
            ]
        if not loop:
            return
