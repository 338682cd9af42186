"""How large a picture is shown, from its header: hardly ever are pixels decoded."""

from __future__ import annotations

import struct
from pathlib import Path

from detector.errors import DetectorError
from detector.image_header import read_header
from detector.images import decode_image

# EXIF stands first in a JPEG and fills at most 64 KB; with thumbnails and profiles rarely more.
_HEAD_BYTES = 2**17


def displayed_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels with the EXIF orientation applied, as `read_image` returns it.

    Whether the picture is whole is not looked at. Raises ValueError, saying why, for a file that
    cannot be read or is no picture.
    """
    width, height, orientation = stored_size(path)
    return (height, width) if orientation >= 5 else (width, height)


def stored_size(path: Path) -> tuple[int, int, int]:
    """(width, height, EXIF orientation 1..8) as stored; formats but JPEG come upright, with 1."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD_BYTES)
            header = read_header(data)
            if header is not None and not (header.format == "JPEG" and header.width):
                data += file.read()
                header = read_header(data)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if header is None:
        raise ValueError(f"is no picture (it begins with {data[:8]!r})")
    if header.format == "JPEG" or not _may_be_turned(header.format, data):
        if header.width < 1 or header.height < 1:
            raise ValueError(f"this {header.format} is cut short inside its header")
        return header.width, header.height, _jpeg_orientation(data)
    try:  # rare: let the decoder say, so that both always agree
        shape = decode_image(data, path.name).shape
    except DetectorError as error:
        raise ValueError(str(error).removeprefix(f"{path.name}: ")) from None
    return shape[1], shape[0], 1


def quick_orientation(path: Path) -> int:
    """The EXIF orientation of a JPEG from its first 8 KB, cheap for 100,000 files; 1 for others.

    Raises ValueError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _jpeg_orientation(file.read(8192))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None


def _may_be_turned(picture_format: str, data: bytes) -> bool:
    """Whether OpenCV might turn a picture of a format other than JPEG."""
    if picture_format == "PNG":
        return b"eXIf" in data
    if picture_format == "WebP":
        return b"EXIF" in data
    return picture_format in ("TIFF", "AVIF", "JPEG 2000", "HEIC")


def _jpeg_orientation(data: bytes) -> int:
    """The EXIF orientation in a JPEG's head (TIFF 6.0 tag 274); 1 when none or nonsense."""
    start = data.find(b"Exif\0\0")
    if not data.startswith(b"\xff\xd8") or start < 0:
        return 1
    tiff = data[start + 6 :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _kind, _count, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == 274:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
