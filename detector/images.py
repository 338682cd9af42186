"""Pictures in: files and Python objects become (H, W, 3) uint8 BGR arrays, or one clear error."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector.errors import DetectorError, OutOfMemoryError
from detector.image_header import PictureHeader, read_header

UInt8 = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"}
    | {".gif", ".jp2", ".avif", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# 2^28 pixels decode to 805 MB: room for a 200-megapixel phone picture, not for 30,000 x 30,000.
MAX_PIXELS = 2**28
MAX_FILE_BYTES = 2**30
DECODER_BYTES = 9  # a pixel: 3 of the picture, and 6 of coefficients in a progressive JPEG
_EXPECTED = "expected JPEG, PNG, WebP, BMP, TIFF, GIF, JPEG 2000, AVIF or PNM"


def quiet_opencv() -> None:
    """Stop OpenCV and its FFmpeg from printing to stderr, unless the user asked them to.

    Our errors say what went wrong in one line; theirs name C++ files. Affects the whole process.
    FFmpeg's level is read when the first video opens, so it is set through the environment.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 5 moved the function; 0 is LOG_LEVEL_SILENT in both.
        home = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
        home.setLogLevel(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def missing_file(path: Path) -> DetectorError:
    """The error for a path that does not exist, naming a near one in its folder if any."""
    if not path.parent.is_dir():
        return DetectorError(f"{path}: no such file, and no folder '{path.parent}'; check the path")
    names = [entry.name for entry in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "check the name"
    return DetectorError(f"{path}: no such file; {hint}")


def read_image(path: str | Path) -> UInt8:
    """The picture in a file, (H, W, 3) BGR. The content decides the format, not the file's name.

    EXIF orientation is applied, alpha is dropped (not blended), 16 bits are scaled to 8, gray and
    CMYK become BGR, and of an animation or a multi-page file the first frame is taken.
    Raises DetectorError for a file that is missing, no file, empty, cut, damaged, no picture or
    larger than MAX_PIXELS.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise missing_file(path)
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise DetectorError(f"{path}: is {kind}, expected a picture file; name one file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DetectorError(f"{path}: {size / 1e9:.1f} GB is no picture; {_EXPECTED}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise DetectorError(f"{path}: cannot be read ({reason}); check its permissions") from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> UInt8:
    """The picture in an encoded file's bytes, (H, W, 3) BGR; `name` is what errors call it.

    Raises DetectorError as `read_image` does, OutOfMemoryError when it does not fit. Reading bytes
    first, instead of `cv2.imread`, keeps non-ASCII paths working on Windows.
    """
    if not data:
        raise DetectorError(f"{name}: is empty (0 bytes), expected a picture; copy it again")
    header = read_header(data)
    if header is None:
        raise DetectorError(f"{name}: not a picture (it begins with {data[:8]!r}); {_EXPECTED}")
    _check_header(header, name)
    quiet_opencv()
    image = imdecode(data, cv2.IMREAD_COLOR, header, name)
    if image is None:
        raise DetectorError(
            f"{name}: this {header.format} ({header.width}x{header.height}) is damaged, cut short "
            f"or of a kind OpenCV {cv2.__version__} cannot decode; copy it again or save it as PNG"
        )
    return as_bgr(image)


def imdecode(data: bytes, flags: int, header: PictureHeader, name: str) -> Any:
    """What OpenCV makes of a picture's bytes, or None.

    Raises OutOfMemoryError for want of memory, which OpenCV mostly calls damage as well: its
    decoders are then asked no further, but whether so much memory is to be had at all.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if image is None:
            np.empty(header.width * header.height * DECODER_BYTES, np.uint8)
        return image
    except (cv2.error, MemoryError) as error:
        if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
            raise OutOfMemoryError(
                f"{name}: out of memory while decoding {header.width}x{header.height} pixels; "
                "close other programs, or scale large pictures down first"
            ) from None
    return None


def _check_header(header: PictureHeader, name: str) -> None:
    """Raise DetectorError for a picture that must not or cannot be decoded."""
    if header.format == "HEIC":
        raise DetectorError(f"{name}: HEIC cannot be decoded here; save it as JPEG or PNG")
    if header.width * header.height > MAX_PIXELS:
        raise DetectorError(
            f"{name}: {header.width}x{header.height} pixels are more than the {MAX_PIXELS:,} "
            "read at most; scale it down first"
        )
    if not header.complete:
        raise DetectorError(
            f"{name}: this {header.format} is cut short or damaged (its end is missing or a "
            "checksum is wrong); copy or download it again"
        )


def as_bgr(image: Any) -> UInt8:
    """A picture handed over in Python as (H, W, 3) uint8 BGR, contiguous; copied only if needed.

    NumPy arrays: (H, W) or (H, W, 1) gray, (H, W, 3) BGR, (H, W, 4) BGRA (alpha is dropped); uint8,
    uint16 (divided by 257, rounded) or float in 0..1 (times 255, rounded).
    PIL images of any mode, with their EXIF orientation applied (recognised without importing PIL).
    Raises DetectorError for anything else.
    """
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        return _from_pil(image)
    if not isinstance(image, np.ndarray):
        raise DetectorError(
            f"image: got {type(image).__name__}, expected a path, a PIL image or a NumPy array "
            "(H, W), (H, W, 3) BGR or (H, W, 4) BGRA"
        )
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        hint = "; move the channels last" if image.ndim == 3 and image.shape[0] in (1, 3, 4) else ""
        raise DetectorError(
            f"image: got an array of shape {image.shape}, expected (H, W), (H, W, 3) BGR or "
            f"(H, W, 4) BGRA with H and W at least 1{hint}"
        )
    pixels = _to_uint8(image[:, :, :3])
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)


def _to_uint8(pixels: npt.NDArray[Any]) -> UInt8:
    """Full range to full range: uint16 0..65535 and float 0..1 become 0..255, rounded."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype == np.uint16:
        scaled: UInt8 = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return scaled
    if np.issubdtype(pixels.dtype, np.floating):
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # written so that NaN fails too
            raise DetectorError(
                f"image: a float array must hold 0..1, got {low:g}..{high:g}; "
                "divide by its maximum or convert it to uint8"
            )
        rounded: UInt8 = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
        return rounded
    raise DetectorError(
        f"image: got an array of {pixels.dtype}, expected uint8, uint16 or float in 0..1; "
        "convert it with .astype"
    )


def _from_pil(image: Any) -> UInt8:
    """A PIL image of any mode; 'I' holds 0..65535 as a 16-bit PNG opened by PIL does."""
    try:
        orientation = image.getexif().get(0x0112, 1)
        if image.mode.startswith("I"):
            pixels = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        else:
            # A palette may hold transparency: through RGBA it is dropped as everywhere else.
            pixels = np.asarray(image.convert("RGBA" if image.mode == "P" else "RGB"))[:, :, 2::-1]
    except (OSError, ValueError, SyntaxError) as error:  # PIL decodes late: a cut file fails here
        raise DetectorError(f"image: PIL cannot decode it ({error}); open it again") from None
    return as_bgr(_turn_upright(pixels, orientation))


def _turn_upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation (1..8, TIFF 6.0 tag 274) of (H, W[, C]) pixels; others pass as 1."""
    if orientation in (5, 6, 7, 8):  # rows and columns swapped
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
