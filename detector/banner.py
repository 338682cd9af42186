"""The strip over a picture that is not what the camera sees now: lost, paused, at its end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detector.draw import MIN_TEXT_PX, text_size
from detector.lettering import text_mask

AMBER = (0, 191, 255)  # BGR


def draw_banner(image_bgr: npt.NDArray[np.uint8], text: str) -> None:
    """Black text on an amber strip over the whole top edge of a (H, W, 3) frame, in place.

    The text shrinks to the frame's width; under 8 px there is the strip alone.
    """
    height, width = image_bgr.shape[:2]
    text_px = text_size((height, width))
    mask = text_mask(text, max(MIN_TEXT_PX, text_px))
    while mask.shape[1] > width and text_px > MIN_TEXT_PX:
        text_px -= 1
        mask = text_mask(text, text_px)
    strip = image_bgr[: mask.shape[0] * 3 // 2]
    strip[:] = AMBER
    if text_px < MIN_TEXT_PX:
        return
    top = (strip.shape[0] - mask.shape[0]) // 2
    left = max(0, width - mask.shape[1]) // 2
    under = strip[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = mask[: under.shape[0], : under.shape[1], None]
    under[:] = under * ((255 - ink) / 255)
