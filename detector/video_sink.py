"""`--save out.mp4`: the annotated pictures as a video that is whole or absent."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from detector.detections import Detections
from detector.errors import DetectorError
from detector.outfile import cannot_write, start_file

if TYPE_CHECKING:
    from detector.frame import Frame

UInt8 = npt.NDArray[np.uint8]

# What pip's OpenCV can write (it has no H.264 encoder), per 768x576 frame on one core:
# mp4v 2.3 ms and 15 kB; MJPG 4.0 ms and 77 kB, the codec that any player opens in an .avi.
VIDEO_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
_SPARE_BYTES = 256 * 1024  # left for the index that a video file gets at its end
_DEFAULT_FPS = 25.0


class VideoSink:
    """A video of the annotated pictures, at `fps` (25 when None or not usable) frames a second.

    The first picture sets the size; later ones of another size are letterboxed into it.
    Raises DetectorError for an unknown suffix or a place that cannot be written.
    """

    def __init__(self, path: str | Path, fps: float | None) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in VIDEO_CODECS:
            known = ", ".join(VIDEO_CODECS)
            raise DetectorError(
                f"--save {self._path}: no video format has the suffix "
                f"'{self._path.suffix}'; known are {known}, or give a folder (a name without a dot "
                "or with / at its end)"
            )
        self._temporary = start_file(self._path, "--save")
        self._fps = fps if fps and math.isfinite(fps) and 0.1 <= fps <= 1000 else _DEFAULT_FPS
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)
        self._written = 0
        self._ended = False

    def write(self, frame: Frame, annotated_bgr: UInt8, detections: Detections) -> None:
        """Encode one picture; DetectorError when the disk is full or the size cannot be coded."""
        if self._writer is None:
            self._writer = self._open(annotated_bgr)
        # OpenCV does not report that a frame could not be written, so ask beforehand. An encoded
        # picture is smaller than a raw one.
        if shutil.disk_usage(self._path.parent).free < annotated_bgr.nbytes + _SPARE_BYTES:
            self._discard()
            raise DetectorError(
                f"--save {self._path}: the disk is full after {self._written} frames; "
                "free some space or save elsewhere"
            )
        self._writer.write(letterbox(annotated_bgr, self._size_wh))
        self._written += 1

    def _open(self, first_bgr: UInt8) -> cv2.VideoWriter:
        height, width = first_bgr.shape[:2]
        self._size_wh = (width + width % 2, height + height % 2)  # codecs want even sizes
        codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self._path.suffix.lower()])
        name = str(self._temporary)
        writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, codec, self._fps, self._size_wh)
        if not writer.isOpened():
            self._discard()
            raise DetectorError(
                f"--save {self._path}: no video of {width}x{height} pixels can be written here; "
                "save to a folder instead"
            )
        return writer

    def close(self) -> None:
        """Write the index, read the file back and give it its name; no frames, no file.

        Raises DetectorError, and removes the file, when it does not hold the frames written.
        """
        if self._ended:
            return
        if self._writer is None:
            self._discard()
            return
        self._writer.release()
        if not _holds_frames(self._temporary, self._written):
            self._discard()
            raise DetectorError(
                f"--save {self._path}: the video did not come out whole (disk full?); "
                "it was removed: free some space or save elsewhere"
            )
        self._ended = True
        try:
            self._temporary.replace(self._path)
        except OSError as error:
            self._discard()
            raise cannot_write(self._path, "--save", error) from error

    def _discard(self) -> None:
        self._ended = True
        if self._writer is not None:
            self._writer.release()
        self._temporary.unlink(missing_ok=True)


def letterbox(image_bgr: UInt8, size_wh: tuple[int, int]) -> UInt8:
    """The (H, W, 3) picture in the middle of a black one of this size, its aspect kept.

    One that is up to a pixel smaller (odd sizes) is not scaled.
    """
    width, height = size_wh
    h, w = image_bgr.shape[:2]
    if (w, h) == size_wh:
        return image_bgr
    if not (0 <= width - w <= 1 and 0 <= height - h <= 1):
        scale = min(width / w, height / h)
        fitted = (min(max(round(w * scale), 1), width), min(max(round(h * scale), 1), height))
        image_bgr = cv2.resize(image_bgr, fitted, interpolation=cv2.INTER_AREA).astype(np.uint8)
        h, w = image_bgr.shape[:2]
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = image_bgr
    return canvas


def _holds_frames(path: Path, frames: int) -> bool:
    """Whether the video opens, holds this many frames, and the last one decodes.

    Reads the count the header gives, and counts by hand only where that differs.
    """
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            return False
        if round(video.get(cv2.CAP_PROP_FRAME_COUNT)) == frames:
            video.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
            return bool(video.read()[0])
        counted = 0
        while counted < frames and video.grab():
            counted += 1
        return counted == frames
    finally:
        video.release()
