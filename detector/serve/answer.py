"""From a picture's bytes to the API's answer: pure, apart from the network it runs."""

from __future__ import annotations

from typing import Any

from detector.errors import DetectorError
from detector.frame import Frame
from detector.image_header import read_header
from detector.images import UInt8, decode_image
from detector.predictor import Detector
from detector.serve.limits import Limits, Refusal
from detector.sinks import record

# Few decoders stand open to the network, and these are what cameras and the web give.
FORMATS = ("JPEG", "PNG", "WebP")
# A progressive JPEG needs about ten scans. Each goes over the whole picture again, so a small file
# of thousands keeps a decoder busy for minutes (the libjpeg-turbo project's "two issues with the
# JPEG standard", 2015).
MAX_SCANS = 64


def answer(detector: Detector, data: bytes, score: float | None, limits: Limits) -> dict[str, Any]:
    """What is in the picture: its size, the detections (best first) and what they took.

    Refusal: 413 too many pixels, 415 another format, 422 empty, cut short or damaged.
    """
    image = decode(data, limits)
    found, timing = detector.detect_timed(image, score)
    took = {"resize": timing.pre_ms, "network": timing.infer_ms, "select": timing.post_ms}
    facts = record(Frame(image, 0, 0.0), found)
    return facts | {"took_ms": {stage: round(ms, 2) for stage, ms in took.items()}}


def decode(data: bytes, limits: Limits) -> UInt8:
    """The picture, (H, W, 3) BGR, if it is one that `limits` allow; else Refusal."""
    if not data:
        raise Refusal(422, "the body is empty; send the picture file as the body")
    header = read_header(data)
    if header is None or header.format not in FORMATS:
        what = header.format if header else "no picture"
        raise Refusal(415, f"the body is {what}; expected {', '.join(FORMATS)}")
    if header.width * header.height > limits.max_pixels:
        size = f"{header.width}x{header.height}"
        raise Refusal(413, f"{size} is more than {limits.max_pixels:,} pixels; scale it down")
    if header.scans > MAX_SCANS:
        raise Refusal(422, f"this JPEG has more than {MAX_SCANS} scans; save it again")
    try:
        return decode_image(data, "the picture")
    except DetectorError as error:
        raise Refusal(422, str(error)) from None
