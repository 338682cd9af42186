"""Boxes with labels, and a small text panel, drawn into a BGR frame in well under a millisecond.

Drawing text is the dear part, so a label is rendered once, kept as a small picture (a sprite) and
from then on copied into the frame; the caches are bounded. Nothing here knows about video.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from detector.colors import Color, class_color, text_shades
from detector.detections import Detections, Float32
from detector.lettering import text_mask

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]

CORNERS: tuple[Corner, ...] = ("top-left", "top-right", "bottom-left", "bottom-right")
MIN_TEXT_PX = 8  # below this a letter is a smudge: draw the boxes alone
PANEL_SHINE = 0.25  # how much of the frame shines through the text panel


def draw_detections(image_bgr: UInt8, detections: Detections) -> None:
    """Draw every box, and its label ("person 87%") where there is room, into the frame itself.

    image_bgr: (H, W, 3) uint8, changed in place. Line width and text follow the frame's size.
    Boxes are clipped to the frame; one that lies wholly outside (or holds a NaN) is not drawn.
    Labels never leave the frame and do not cover each other: in a crowd the largest boxes get
    theirs, the others keep only their colour. A frame under 32 px has no room for text.

    Raises ValueError for anything but a uint8 (H, W, 3) array.
    """
    colors = [class_color(int(label)) for label in detections.labels]
    percents = (f"{score:.0%}" for score in detections.scores.tolist())
    draw_boxes(
        image_bgr, detections.xyxy, colors, list(zip(detections.names, percents, strict=True))
    )


def draw_boxes(
    image_bgr: UInt8,
    xyxy: Float32,
    colors: Sequence[Color],
    texts: Sequence[tuple[str, str]],
    *,
    dashed: Sequence[bool] = (),
) -> None:
    """Boxes (D, 4) with their colours and labels, as `draw_detections` draws them.

    texts: a name, which is shortened where it is too wide, and what follows it; ("", "") for a box
    without a label. dashed: which boxes have broken lines, default none.

    Raises ValueError for anything but a uint8 (H, W, 3) array.
    """
    _check_frame(image_bgr)
    if len(xyxy) == 0 or image_bgr.size == 0:
        return
    frame_hw = (image_bgr.shape[0], image_bgr.shape[1])
    boxes, kept = _pixel_boxes(xyxy, frame_hw)
    rows = kept.tolist()
    text_px = text_size(frame_hw)
    line = max(1, round(text_px / 5))
    for row, (x1, y1, x2, y2) in zip(rows, boxes, strict=True):
        draw = _dashed_rectangle if dashed and dashed[row] else cv2.rectangle
        # The dark rim keeps a box visible on a background of its own colour.
        draw(image_bgr, (x1, y1), (x2, y2), (0, 0, 0), line + 2)
        draw(image_bgr, (x1, y1), (x2, y2), colors[row], line)
    if text_px < MIN_TEXT_PX:
        return
    # Half the frame is enough for a name, unless the frame is so narrow that it needs all.
    widest = max(frame_hw[1] // 2, min(frame_hw[1], 12 * text_px))
    room = _Room(frame_hw, cell=max(4, text_px // 2))
    for row, box in zip(rows, boxes, strict=True):
        if texts[row] == ("", ""):
            continue
        sprite = _label_sprite(*texts[row], colors[row], text_px, widest)
        corner = room.take(box, (sprite.shape[0], sprite.shape[1]))
        if corner is not None:
            _paste(image_bgr, sprite, corner)


def _dashed_rectangle(
    image_bgr: UInt8, low: tuple[int, int], high: tuple[int, int], color: Color, line: int
) -> None:
    """A rectangle of dashes; each side begins and ends with one, so that its corners are closed."""
    corners = [low, (high[0], low[1]), high, (low[0], high[1]), low]
    for start, end in itertools.pairwise(corners):
        length = abs(end[0] - start[0]) + abs(end[1] - start[1])
        steps = 2 * max(1, length // 16) + 1
        points = np.linspace(start, end, steps + 1).astype(int).tolist()
        for a, b in zip(points[::2], points[1::2], strict=True):
            cv2.line(image_bgr, a, b, color, line)


def draw_overlay(image_bgr: UInt8, lines: Sequence[str], *, corner: Corner = "top-left") -> None:
    """Draw lines of text on a half-transparent dark panel in a corner of the frame, in place.

    image_bgr: (H, W, 3) uint8. The text is the size labels have, smaller when the frame is too
    narrow for it. The panel is kept and drawn anew only when `lines` or the frame's size change.

    Raises ValueError for an unknown corner or anything but a uint8 (H, W, 3) array.
    """
    _check_frame(image_bgr)
    if corner not in CORNERS:
        raise ValueError(f"corner is {corner!r}, expected one of {', '.join(CORNERS)}")
    height, width, _ = image_bgr.shape
    text_px = text_size((height, width))
    if not lines or text_px < MIN_TEXT_PX:
        return
    light, shine = _panel(tuple(lines), text_px, width)
    h, w = min(height, light.shape[0]), min(width, light.shape[1])
    y = 0 if corner.startswith("top") else height - h
    x = 0 if corner.endswith("left") else width - w
    under = image_bgr[y : y + h, x : x + w]
    under[:] = cv2.add(cv2.multiply(under, shine[:h, :w], scale=1 / 255), light[:h, :w])


def text_size(frame_hw: tuple[int, int]) -> int:
    """Text height in pixels that reads well in a frame of this size; under 8: no room for text.

    Follows the square root of the area, so a panorama gets no giant letters, but at most a
    quarter of the shorter side and 128 px.
    """
    height, width = frame_hw
    return min(max(11, round(math.sqrt(height * width) / 42)), min(height, width) // 4, 128)


def _check_frame(image_bgr: UInt8) -> None:
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise ValueError(
            f"expected a BGR frame, uint8 (H, W, 3), got {image_bgr.dtype} {image_bgr.shape}"
        )


def _pixel_boxes(
    xyxy: Float32, frame_hw: tuple[int, int]
) -> tuple[list[list[int]], npt.NDArray[np.intp]]:
    """Boxes clipped to whole pixels of the frame, largest first, and the rows they came from.

    Largest first because it changes little from one frame to the next, while scores jitter and
    would make labels jump.
    """
    height, width = frame_hw
    x1, y1, x2, y2 = xyxy.T
    # A NaN fails every comparison and so drops out here.
    seen = np.flatnonzero((x2 >= 0) & (y2 >= 0) & (x1 <= width) & (y1 <= height))
    limit = np.array([width - 1, height - 1, width - 1, height - 1], np.float32)
    clipped = np.clip(xyxy[seen], 0, limit)
    area = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    order = np.argsort(-area, kind="stable")
    boxes: list[list[int]] = np.rint(clipped[order]).astype(np.int64).tolist()
    return boxes, seen[order]


class _Room:
    """Which parts of one frame carry a label already, on a grid of square cells."""

    def __init__(self, frame_hw: tuple[int, int], cell: int) -> None:
        self._frame_hw = frame_hw
        self._cell = cell
        self._taken: Bool = np.zeros((frame_hw[0] // cell + 1, frame_hw[1] // cell + 1), np.bool_)

    def take(self, box: list[int], label_hw: tuple[int, int]) -> tuple[int, int] | None:
        """The first free place (x, y) at the box for a label, now taken; None if there is none.

        Tried in turn: on the top edge, inside at the top, under the bottom edge, inside at the
        bottom; at the left edge first, then at the right; each moved into the frame.
        """
        x1, y1, x2, y2 = box
        h, w = label_hw
        x_most, y_most = max(0, self._frame_hw[1] - w), max(0, self._frame_hw[0] - h)
        for x in (x1, x2 + 1 - w):
            for y in (y1 - h, y1, y2 + 1, y2 + 1 - h):
                left, top = min(max(x, 0), x_most), min(max(y, 0), y_most)
                # To the last pixel but one: labels may touch, or share a line of pixels.
                rows = slice(top // self._cell, (top + h - 2) // self._cell + 1)
                columns = slice(left // self._cell, (left + w - 2) // self._cell + 1)
                cells = self._taken[rows, columns]
                if not cells.any():
                    cells[:] = True
                    return left, top
        return None


def _paste(image_bgr: UInt8, sprite: UInt8, corner: tuple[int, int]) -> None:
    """Copy a sprite into the frame at (x, y) >= 0; what reaches over the edge is cut off."""
    x, y = corner
    under = image_bgr[y : y + sprite.shape[0], x : x + sprite.shape[1]]
    under[:] = sprite[: under.shape[0], : under.shape[1]]


@lru_cache(maxsize=512)
def _label_sprite(name: str, rest: str, color: Color, text_px: int, width: int) -> UInt8:
    """A label as a picture (h, w, 3); the name is shortened with "…" to stay within `width`."""
    name = " ".join(name.split())
    mask = text_mask(f"{name} {rest}".strip(), text_px)
    while mask.shape[1] > width and name:
        keep = min(len(name) - 1, len(name) * width // mask.shape[1])
        name = name[:keep]
        mask = text_mask(f"{name}… {rest}".strip() if name else rest, text_px)
    return text_shades(color)[mask]


@lru_cache(maxsize=16)
def _panel(lines: tuple[str, ...], text_px: int, width: int) -> tuple[UInt8, UInt8]:
    """A text panel: what to add to the frame, and what share (of 255) of the frame to keep.

    Both (h, w, 3). Text shrinks down to 8 px to fit `width`; what is still too wide is cut.
    """
    masks = [text_mask(line, text_px) for line in lines]
    widest = max(mask.shape[1] for mask in masks)
    if widest > width and text_px > MIN_TEXT_PX:
        smaller = min(text_px - 1, text_px * width // widest)
        return _panel(lines, max(MIN_TEXT_PX, smaller), width)
    mask = np.vstack([np.pad(mask, ((0, 0), (0, widest - mask.shape[1]))) for mask in masks])
    light = np.repeat(mask[..., None], 3, axis=2)
    shine = np.rint((255 - light.astype(np.float32)) * PANEL_SHINE).astype(np.uint8)
    return light, shine
