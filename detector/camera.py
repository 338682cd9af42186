"""`--source`: from what the user wrote to an open Source of frames."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import cv2

from detector.errors import DetectorError
from detector.frame import Source
from detector.image_header import read_header
from detector.images import IMAGE_SUFFIXES, missing_file, quiet_opencv
from detector.sample import sample_path
from detector.stream import LiveSource, connect
from detector.video import DecodeAhead, ffmpeg_backend, open_pictures, open_video

__all__ = ["mask_secrets", "open_source"]

# An RTSP camera takes about 3 s to open (FFmpeg looks at the stream first), a slow one twice that.
OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 5_000
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_SCHEMES = ("rtsp", "rtsps", "http", "https")


def open_source(spec: str, *, loop: bool = False, retry: int = 10) -> Source:
    """Open what `spec` names and wait for its first frame.

    spec: `sample`, a camera index (`0`) or device (`/dev/video0`), a video file, a picture, a
    folder or a glob of pictures (naturally sorted), or an rtsp:// or http:// address. Cameras and
    streams are live; files, and videos of known length behind http://, give every frame.
    loop: start files again at their end. retry: tries in a row to get a lost live source back.
    Raises DetectorError when it cannot be opened; cameras and streams are then not retried.
    """
    quiet_opencv()
    if retry < 0:
        raise DetectorError(f"--retry {retry}: expected 0 or more tries")
    if scheme := _URL.match(spec):
        return _open_url(spec, scheme[1].lower(), loop, retry)
    if spec.isdecimal() or spec.startswith("/dev/"):
        return _open_camera(spec, retry)
    if spec == "sample":
        return _open_file(sample_path(), "sample", loop)
    path = Path(spec)
    if path.is_dir():
        return _open_folder(path, loop)
    if not path.exists() and any(letter in spec for letter in "*?["):
        return _open_glob(spec, loop)
    return _open_file(path, spec, loop)


def mask_secrets(url: str) -> str:
    """The address with user, password and secret query values replaced by ***."""
    url = re.sub(r"(://)[^/?#]*@", r"\1***@", url)
    return re.sub(r"(?i)([?&](?:user|usr|pass|pwd|token|key|auth)\w*=)[^&#]*", r"\1***", url)


def _open_url(url: str, scheme: str, loop: bool, retry: int) -> Source:
    shown = mask_secrets(url)
    if scheme not in _SCHEMES:
        raise DetectorError(
            f"{shown}: cannot read {scheme}:// addresses, expected rtsp:// or http://, "
            "a file's path, a camera's number or 'sample'"
        )

    def opener() -> cv2.VideoCapture:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        return cv2.VideoCapture(url, ffmpeg_backend(), limits)

    connection = connect(opener)
    if connection is None:
        raise DetectorError(
            f"{shown}: no picture came from there; is the camera or server on, the address right, "
            "and user and password given if it wants them?"
        )
    # A video file behind http:// knows its length, a stream does not.
    if scheme.startswith("http") and connection.capture.get(cv2.CAP_PROP_FRAME_COUNT) > 1:
        connection.capture.release()
        return open_video(url, shown, loop=loop)
    return LiveSource(opener, connection, shown, retry=retry)


def _open_camera(spec: str, retry: int) -> LiveSource:
    """A local camera. On Linux a missing device is told from a busy one by its file in /dev."""
    device = f"/dev/video{int(spec)}" if spec.isdecimal() else spec
    on_linux = sys.platform == "linux"
    if on_linux and not Path(device).exists():
        raise DetectorError(f"camera {spec}: there is no {device}; {_cameras_here()}")
    if on_linux and not os.access(device, os.R_OK | os.W_OK):
        raise DetectorError(
            f"camera {spec}: no permission for {device}; add yourself to its group (often 'video')"
        )

    def opener() -> cv2.VideoCapture:
        target = int(spec) if spec.isdecimal() else spec
        capture = cv2.VideoCapture(target, cv2.CAP_V4L2 if on_linux else cv2.CAP_ANY)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's queue would only add age
        return capture

    connection = connect(opener)
    if connection is None:
        raise DetectorError(
            f"camera {spec}: gives no picture; it is used by another program, not allowed for "
            f"this one, or no camera; {_cameras_here()}"
        )
    return LiveSource(opener, connection, f"camera {spec}", retry=retry)


def _cameras_here() -> str:
    """What else there is, for error messages; only Linux lists devices as files."""
    if sys.platform != "linux":
        return "try another number, or --source sample"
    devices = sorted((str(path) for path in Path("/dev").glob("video*")), key=_natural)
    if not devices:
        return "no camera is connected: plug one in, or use --source sample"
    return f"video devices here: {', '.join(devices)}"


def _open_file(path: Path, shown: str, loop: bool) -> DecodeAhead:
    try:
        if not path.exists():
            raise missing_file(path)
        with path.open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise DetectorError(f"{shown}: cannot be read ({reason}); check its permissions") from None
    if path.suffix.lower() in IMAGE_SUFFIXES or read_header(head) is not None:
        return open_pictures([path], shown, loop=loop)
    if not head:
        raise DetectorError(f"{shown}: is empty (0 bytes), expected a video or a picture")
    return open_video(str(path), shown, loop=loop)


def _open_folder(folder: Path, loop: bool) -> DecodeAhead:
    try:
        entries = [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise DetectorError(f"{folder}: cannot be listed ({error.strerror})") from None
    return _open_listed(entries, str(folder), loop)


def _open_glob(pattern: str, loop: bool) -> DecodeAhead:
    anchor = Path(pattern).anchor  # Path.glob wants a pattern relative to where it starts
    try:
        found = Path(anchor or ".").glob(str(Path(pattern).relative_to(anchor)))
        entries = [path for path in found if path.is_file()]
    except (OSError, ValueError) as error:
        raise DetectorError(
            f"{pattern}: not a usable pattern ({error}); try 'folder/*.jpg'"
        ) from None
    if not entries:
        raise DetectorError(f"{pattern}: matches no file, expected pictures; check the pattern")
    return _open_listed(entries, pattern, loop)


def _open_listed(entries: list[Path], shown: str, loop: bool) -> DecodeAhead:
    """The pictures among `entries` by suffix, naturally sorted; the description counts the rest."""
    paths = [p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."]
    if not paths:
        raise DetectorError(
            f"{shown}: no pictures among its {len(entries)} files, expected names ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    others = len(entries) - len(paths)
    left_out = f", {others} other files left out" if others else ""
    description = f"{shown} ({len(paths)} pictures{left_out})"
    return open_pictures(sorted(paths, key=lambda p: _natural(str(p))), description, loop=loop)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts frame2 before frame10: digits compare as numbers, letters as text."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
