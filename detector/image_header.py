"""What a picture file says about itself, read without decoding it: format, size, is it whole.

Decoders trust the header: they allocate what it declares, and fill what is missing with grey. So we
look first: a 3 MB file that declares 30,000 x 30,000 pixels is refused before 2.7 GB are asked for,
and a cut file is an error instead of a half-grey picture.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

# Segments or chunks looked at: far more than any picture has, and few enough that a file made of
# nothing else is refused in under a second.
_MAX_PARTS = 200_000
# A JPEG marker: 0xFF, then neither a stuffed zero, a restart marker nor a fill byte.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


@dataclass(frozen=True)
class PictureHeader:
    """Declared facts; width and height in pixels before any EXIF turn.

    complete: False when the file surely lacks its end or a checksum is wrong; True when it is
    whole or the format does not tell.
    scans: of a JPEG, how often its decoder goes over the picture.
    """

    format: str
    width: int
    height: int
    complete: bool = True
    scans: int = 1


def read_header(data: bytes) -> PictureHeader | None:
    """The header of the picture in `data` (a whole file); None when no known format begins so.

    A header too short to hold its size gives width = height = 0 and complete = False.
    """
    for is_format, name, parse in _FORMATS:
        if is_format(data):
            try:
                return parse(data)
            except (struct.error, IndexError):  # the file ends inside the header
                return PictureHeader(name, 0, 0, complete=False)
    return None


def _jpeg(data: bytes) -> PictureHeader:
    """Walk the segments: the size is in the frame header, the end is a marker after the scans."""
    width = height = scans = 0
    position = 2
    for _ in range(_MAX_PARTS):
        if (marker := _JPEG_MARKER.search(data, position)) is None:
            break
        code, position = data[marker.start() + 1], marker.end()
        if code == 0xD9:  # end of image
            return PictureHeader("JPEG", width, height, scans=scans)
        scans += code == 0xDA
        if code in (0x01, 0xD8):  # markers without a body
            continue
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 3)
        position += max(2, struct.unpack_from(">H", data, position)[0])
    return PictureHeader("JPEG", width, height, complete=False)


def _png(data: bytes) -> PictureHeader:
    """Walk the chunks to IEND and check their sums, which also keeps libpng from printing."""
    width, height = struct.unpack_from(">II", data, 16)
    position = 8
    for _ in range(_MAX_PARTS):
        if position + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        (declared,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != declared:
            break
        if kind == b"IEND":
            return PictureHeader("PNG", width, height)
        position = end
    return PictureHeader("PNG", width, height, complete=False)


def _gif(data: bytes) -> PictureHeader:
    return PictureHeader("GIF", *struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> PictureHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return PictureHeader("BMP", abs(width), abs(height))  # a negative height means top row first


def _webp(data: bytes) -> PictureHeader:
    (riff_size,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if kind == b"VP8X":  # extended: two 24-bit fields, each one less than the size
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":  # lossless: two 14-bit fields, each one less than the size
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return PictureHeader("WebP", width, height, complete=len(data) >= riff_size + 8)


def _tiff(data: bytes) -> PictureHeader:
    """Width and height are tags 256 and 257 of the first directory, 16 or 32 bits each."""
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    sides = {256: 0, 257: 0}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in sides:
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return PictureHeader("TIFF", sides[256], sides[257])


def _pnm(data: bytes) -> PictureHeader:
    found = _PNM.match(data, 0, 4096)
    if found is None:
        return PictureHeader("PNM", 0, 0, complete=False)
    return PictureHeader("PNM", int(found[1]), int(found[2]))


def _jp2(data: bytes) -> PictureHeader:
    """The size is in the code stream's SIZ segment: the decoder believes that, not the box."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return PictureHeader("JPEG 2000", 0, 0, complete=False)
    return PictureHeader("JPEG 2000", *struct.unpack_from(">II", data, start + 8))


def _avif(data: bytes) -> PictureHeader:
    """Each stored item has an `ispe` box with its size; the picture is the largest."""
    sides = [struct.unpack_from(">II", data, m.end() + 4) for m in re.finditer(b"ispe", data)]
    width, height = max(sides, default=(0, 0), key=lambda wh: wh[0] * wh[1])
    return PictureHeader("AVIF", width, height, complete=bool(sides))


def _heic(_data: bytes) -> PictureHeader:
    return PictureHeader("HEIC", 0, 0)  # no decoder in OpenCV: the name is all the reader needs


_FORMATS: tuple[tuple[Callable[[bytes], bool], str, Callable[[bytes], PictureHeader]], ...] = (
    (lambda d: d.startswith(b"\xff\xd8\xff"), "JPEG", _jpeg),
    (lambda d: d.startswith(b"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (lambda d: d.startswith((b"GIF87a", b"GIF89a")), "GIF", _gif),
    (lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP", "WebP", _webp),
    (lambda d: d.startswith((b"II*\x00", b"MM\x00*")), "TIFF", _tiff),
    (lambda d: d[:2] == b"BM", "BMP", _bmp),
    (
        lambda d: d.startswith((b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")),
        "JPEG 2000",
        _jp2,
    ),
    (lambda d: d[4:8] == b"ftyp" and d[8:12] in (b"avif", b"avis"), "AVIF", _avif),
    (lambda d: d[4:8] == b"ftyp" and d[8:12] in _HEIF_BRANDS, "HEIC", _heic),
    (lambda d: re.match(rb"P[1-6]\s", d) is not None, "PNM", _pnm),
)
