"""Large pictures cut into overlapping parts, boxes and all: small objects become large enough."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from detector.data.example import KNOWN_SHARE, WANTED_SHARE, Bool, Float32, Int64

MOST_PARTS = 16  # along the longer side, as in detection
OVERLAP = 0.2  # of neighbours, as a share of their side


class Part(NamedTuple):
    """A part of a picture, in its pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int


def cut(height: int, width: int, along: int) -> list[Part]:
    """Parts that cover a picture, `along` its longer side and as many across as keep them squarish.

    Neighbours share OVERLAP of their side, so that an object up to that size is whole in one of
    them. As `detector detect --tiles` cuts.
    """
    side = _side(max(height, width), along)
    across = max(1, math.ceil((min(height, width) / (1.1 * side) - OVERLAP) / (1 - OVERLAP)))
    rows, columns = (across, along) if width >= height else (along, across)
    return [
        Part(left, top, right, bottom)
        for top, bottom in _spans(height, rows)
        for left, right in _spans(width, columns)
    ]


def _side(length: int, count: int) -> float:
    """How long each of `count` overlapping stretches must be to cover `length`."""
    return length / (count - (count - 1) * OVERLAP)


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Stretches (start, end) of one size in whole pixels, evenly spaced, no two the same."""
    side = min(length, math.ceil(_side(length, count)))
    starts = [i * (length - side) // max(1, count - 1) for i in range(count)]
    return [(start, start + side) for start in dict.fromkeys(starts)]


class PartBoxes(NamedTuple):
    """What a part shows of the boxes: their rows (M,), xyxy (M, 4) in its pixels, ignore (M,)."""

    rows: Int64
    xyxy: Float32
    ignore: Bool


def boxes_in(part: Part, xyxy: Float32, ignore: Bool) -> PartBoxes:
    """The boxes (G, 4) clipped to a part; ignore: (G,).

    As in training's crops one of which less than WANTED_SHARE is left becomes one to ignore, and
    one of which less than KNOWN_SHARE is left is gone.
    """
    corner = np.array([part.left, part.top] * 2, np.float32)
    size = np.array([part.right - part.left, part.bottom - part.top] * 2, np.float32)
    moved = xyxy - corner
    clipped = np.clip(moved, 0, size)
    share = _area(clipped) / np.maximum(_area(moved), 1e-6)
    rows = np.flatnonzero(share >= KNOWN_SHARE)
    return PartBoxes(rows, clipped[rows], (ignore | (share < WANTED_SHARE))[rows])


def with_objects(found: list[PartBoxes]) -> list[int]:
    """Which parts of a picture to learn from: those with boxes, and as many without, evenly spread.

    At least one; all of a picture with few objects would be nothing but background.
    """
    full = [i for i, one in enumerate(found) if len(one.rows)]
    empty = [i for i, one in enumerate(found) if not len(one.rows)]
    count = min(len(empty), max(1, len(full)))
    chosen = [empty[i * len(empty) // count] for i in range(count)]
    return sorted(full + chosen)


def _area(xyxy: Float32) -> Float32:
    return np.asarray((xyxy[:, 2:] - xyxy[:, :2]).clip(0).prod(axis=1), np.float32)
