"""What can be wrong with a picture file, each read once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detector.data.check.stderr import libjpeg_heard
from detector.data.near_duplicates import Bits, hash_gray, read_small_gray
from detector.data.picture_size import stored_size
from detector.errors import DetectorError, OutOfMemoryError
from detector.image_header import read_header
from detector.images import MAX_FILE_BYTES, quiet_opencv

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "JPEG 2000": (".jp2",),
    "AVIF": (".avif",),
    "PNM": (".ppm", ".pgm", ".pbm", ".pnm"),
}


@dataclass(frozen=True)
class Picture:
    """Facts of a picture file.

    size_wh: as displayed, (0, 0) when unknown. orientation: EXIF, 1..8. format: by content, ""
    when unknown. digest: of the file's bytes. bits: perceptual hashes, None when it cannot be
    decoded. kind, message: what is wrong with it, "" when nothing.
    """

    path: Path
    size_wh: tuple[int, int] = (0, 0)
    orientation: int = 1
    format: str = ""
    digest: bytes = b""
    bits: Bits | None = None
    kind: str = ""
    message: str = ""


def right_suffix(picture: Picture) -> str:
    """The usual suffix of a picture's format; its own when that is one of them."""
    usual = _SUFFIXES.get(picture.format, ())
    own = picture.path.suffix.lower()
    return own if own in usual or not usual else usual[0]


def look_at(paths: Sequence[Path]) -> Iterator[Picture]:
    """Facts of each picture, in order; a few threads decode in the meantime."""
    quiet_opencv()
    threads = min(4, os.cpu_count() or 1)
    step = 16 * threads
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), step):
            with libjpeg_heard() as lines:
                found = list(pool.map(_look, paths[start : start + step]))
            # Which of them it was is not said: they are decoded again, one by one. Rarely needed.
            yield from map(_heard, found) if lines else found


def _heard(picture: Picture) -> Picture:
    """The picture, as damaged if libjpeg says so of it."""
    if picture.format != "JPEG" or picture.bits is None:
        return picture
    with libjpeg_heard() as lines, suppress(DetectorError):
        read_small_gray(picture.path)
    damage = [line for line in lines if line.startswith("Corrupt JPEG data: ")]
    if not damage:
        return picture
    message = f"libjpeg says: {damage[0].removeprefix('Corrupt JPEG data: ')}"
    return replace(picture, kind="damaged", message=message)


def _look(path: Path) -> Picture:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return Picture(path, kind="unreadable", message="is too large for a picture")
        data = path.read_bytes()
        header = read_header(data)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        width, height, orientation = stored_size(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return Picture(path, kind="unreadable", message=str(reason))
    if orientation >= 5:
        width, height = height, width
    name = header.format if header else ""
    facts = Picture(path, (width, height), orientation, name, digest)
    if header and not header.complete:
        return replace(facts, kind="truncated", message=f"this {name} is cut short or damaged")
    try:
        gray = read_small_gray(path)
    except OutOfMemoryError:
        raise
    except DetectorError as error:
        return replace(facts, kind="unreadable", message=str(error).removeprefix(f"{path}: "))
    bits = np.stack([hash_gray(gray), hash_gray(gray[:, ::-1])])
    facts = replace(facts, bits=bits)
    usual = _SUFFIXES.get(name, ())
    if usual and path.suffix.lower() not in usual:
        message = f"is a {name}, its name says {path.suffix}"
        return replace(facts, kind="misnamed", message=message)
    return facts
