"""Where results go: a video file, a folder of pictures, JSON lines, a snapshot.

Every file is written under a hidden name beside its place and renamed when it is whole, so a
full disk or a crash leaves nothing half-written. What can be checked is checked before the run.
"""

from __future__ import annotations

import contextlib
import json as jsonlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from detector.detections import Detections
from detector.errors import DetectorError
from detector.outfile import cannot_write, free_name, make_folder, start_file, write_whole
from detector.video_sink import VideoSink

if TYPE_CHECKING:
    from detector.frame import Frame

__all__ = ["FolderSink", "JsonLinesSink", "Sink", "VideoSink", "open_sinks", "save_snapshot"]

UInt8 = npt.NDArray[np.uint8]

_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class Sink(Protocol):
    """Takes every frame with its result, in order."""

    def write(self, frame: Frame, annotated_bgr: UInt8, detections: Detections) -> None:
        """Add one frame; after a DetectorError the sink is dead and has left nothing behind."""

    def close(self) -> None:
        """Finalise, also after Ctrl-C: what was written becomes a whole file. Twice is harmless."""


class FolderSink:
    """One annotated picture a frame: under the source picture's name, or `frame_000123.jpg`.

    A file that exists is never overwritten, be it an input or an earlier result: `cat.jpg` then
    becomes `cat_2.jpg`. The folder itself is made when missing, its parents are not.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = Path(path)
        self._made = make_folder(self._folder, "--save")
        start_file(self._folder / ".detector-trial", "--save").unlink()

    def write(self, frame: Frame, annotated_bgr: UInt8, detections: Detections) -> None:
        """Write one picture; DetectorError when it cannot be encoded or the disk is full."""
        name = Path(frame.name) if frame.name else Path(f"frame_{frame.index:06d}.jpg")
        suffix = name.suffix if name.suffix.lower() in _PICTURE_SUFFIXES else ".jpg"
        target = free_name(self._folder, name.stem, suffix)
        write_whole(target, _encode(annotated_bgr, target), "--save")

    def close(self) -> None:
        """Remove the folder again if it was made here and stayed empty."""
        if self._made:
            self._made = False
            with contextlib.suppress(OSError):
                self._folder.rmdir()


class JsonLinesSink:
    """One JSON object a line and frame; `-` writes to standard output as it goes.

    `time_s` counts from the moment the first written frame was captured (for files: read) to the
    same moment of this one, so it is wall-clock time, not a position in the video; boxes are
    pixels of the frame, as left, top, right, bottom. No frames, no file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        if str(path) != "-":
            self._temporary = start_file(self._path, "--json")
            self._file = self._temporary.open("wb")
        self._first_at: float | None = None

    def write(self, frame: Frame, annotated_bgr: UInt8, detections: Detections) -> None:
        """Write one line, whole; DetectorError when the disk is full or the reader is gone."""
        if self._first_at is None:
            self._first_at = frame.captured_at
        line = jsonlib.dumps(
            {"frame": frame.index, "time_s": round(frame.captured_at - self._first_at, 4)}
            | record(frame, detections),
            ensure_ascii=self._temporary is None,  # a terminal may know no UTF-8
        )
        try:
            if self._temporary is None:
                print(line, flush=True)
            elif self._file is not None:
                self._file.write(_utf8(line + "\n"))
                self._file.flush()
        except OSError as error:
            self._discard()
            raise cannot_write(self._path, "--json", error) from error

    def close(self) -> None:
        """Give the file its name."""
        if self._temporary is None or self._file is None:
            return
        if self._first_at is None:
            self._discard()
            return
        try:
            self._file.close()
            self._temporary.replace(self._path)
        except OSError as error:
            self._discard()
            raise cannot_write(self._path, "--json", error) from error
        self._file = None

    def _discard(self) -> None:
        if self._temporary is None:
            # What Python still holds for a reader that is gone would fail again, with a trace.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif self._file is not None:
            with contextlib.suppress(OSError):  # closing tries to write once more
                self._file.close()
            self._file = None
            self._temporary.unlink(missing_ok=True)


def open_sinks(
    save: str | None, json: str | None, fps: float | None, source: str | None = None
) -> list[Sink]:
    """The sinks for `--save` (a video's suffix, else a folder) and `--json`; none for None.

    source: what is read, so that a video is not written over itself.
    Raises DetectorError before anything is written when a place cannot be used.
    """
    sinks: list[Sink] = []
    try:
        if save is not None:
            path = Path(save)
            if source is not None and _same_file(path, Path(source)) and not path.is_dir():
                raise DetectorError(f"--save {save}: this is the source; give another name")
            as_folder = path.is_dir() or save.endswith(("/", os.sep)) or not path.suffix
            sinks.append(FolderSink(path) if as_folder else VideoSink(path, fps))
        if json is not None:
            sinks.append(JsonLinesSink(json))
    except (DetectorError, OSError) as error:
        for sink in sinks:
            sink.close()
        if isinstance(error, OSError):
            raise cannot_write(Path(save or ""), "--save", error) from error
        raise
    return sinks


def save_snapshot(
    folder: str | Path, frame: Frame, annotated_bgr: UInt8, detections: Detections
) -> Path:
    """Write the annotated picture and, beside it, its boxes as `.json`; returns the picture.

    Named after the time of day and the frame, never over another file. Makes the folder, not its
    parents. Raises DetectorError when it cannot be written, and then leaves neither file.
    """
    make_folder(Path(folder), "snapshot")
    stem = f"{time.strftime('snapshot_%Y%m%d_%H%M%S')}_{frame.index:06d}"
    picture = free_name(Path(folder), stem, ".jpg")
    write_whole(picture, _encode(annotated_bgr, picture), "snapshot")
    content = {"picture": picture.name, "frame": frame.index} | record(frame, detections)
    text = jsonlib.dumps(content, ensure_ascii=False, indent=1) + "\n"
    try:
        write_whole(picture.with_suffix(".json"), _utf8(text), "snapshot")
    except DetectorError:
        picture.unlink(missing_ok=True)
        raise
    return picture


def record(frame: Frame, detections: Detections) -> dict[str, Any]:
    """A frame's size and boxes as plain JSON values; pixels to 0.01, scores to 0.0001."""
    height, width = frame.image_bgr.shape[:2]
    boxes = [
        {
            "class": name,
            "label": int(label),
            "score": round(score, 4),
            "xyxy": [round(float(edge), 2) for edge in box],
        }
        for (box, score, name), label in zip(detections, detections.labels, strict=True)
    ]
    named = {"name": frame.name} if frame.name else {}
    return named | {"width": width, "height": height, "detections": boxes}


def _encode(image_bgr: UInt8, target: Path) -> bytes:
    """The picture in the format of the target's suffix; DetectorError when it is too large."""
    try:
        done, content = cv2.imencode(target.suffix.lower(), image_bgr)
    except cv2.error:
        done = False
    if not done:
        height, width = image_bgr.shape[:2]
        raise DetectorError(
            f"{target}: a picture of {width}x{height} pixels cannot be written as {target.suffix}"
        )
    return content.tobytes()


def _utf8(text: str) -> bytes:
    """UTF-8; a file name that is not (a lone surrogate to Python) becomes a JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except (OSError, ValueError):  # one does not exist, or is an address
        return False
