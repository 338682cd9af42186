"""Large pictures cut into overlapping parts, boxes and all: small objects become large enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detector.cutting import Tile
from detector.data.example import KNOWN_SHARE, WANTED_SHARE, Bool, Float32, Int64


class PartBoxes(NamedTuple):
    """What a part shows of the boxes: their rows (M,), xyxy (M, 4) in its pixels, ignore (M,)."""

    rows: Int64
    xyxy: Float32
    ignore: Bool


def boxes_in(part: Tile, xyxy: Float32, ignore: Bool) -> PartBoxes:
    """The boxes (G, 4) clipped to a part; ignore: (G,).

    As in training's crops one of which less than WANTED_SHARE is left becomes one to ignore, and
    one of which less than KNOWN_SHARE is left is gone.
    """
    corner = np.array([part.left, part.top] * 2, np.float32)
    size = np.array(part.size_wh * 2, np.float32)
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
