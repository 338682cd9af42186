"""A picture cut into overlapping tiles: to detect small objects in it, and to learn them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_TILES = 16  # along the longer side
OVERLAP = 0.2  # of neighbours, as a share of a tile's side: an object up to that is whole in one
TALL = 1.1  # a tile's side across is at most so many times its side along

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """A part of a frame, in its pixels: columns left..right and rows top..bottom, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    def view(self, frame_bgr: UInt8) -> UInt8:
        """What it shows of a frame (H, W, 3); no copy."""
        return frame_bgr[self.top : self.bottom, self.left : self.right]


def cut(
    frame_hw: tuple[int, ...], along: int, smallest: float = 1.0, overlap: float = OVERLAP
) -> list[Tile]:
    """Tiles that cover a frame: `along` its longer side, and as many along the other as keep them
    from being longer that way.

    Fewer where their longer side would be below `smallest` pixels. Neighbours share at least
    `overlap` (0..1) of their side, rounded down to pixels.
    """
    height, width = frame_hw
    longer, shorter = max(frame_hw), min(frame_hw)
    along = fitting(longer, along, smallest, overlap)
    side = TALL * _side(longer, along, overlap)
    across = next((n for n in range(1, along) if _side(shorter, n, overlap) <= side), along)
    columns, rows = (along, across) if width >= height else (across, along)
    return [
        Tile(left, top, right, bottom)
        for top, bottom in spans(height, rows, overlap)
        for left, right in spans(width, columns, overlap)
    ]


def fitting(longer: int, along: int, smallest: float, overlap: float) -> int:
    """`along`, or how many tiles of `smallest` pixels fit if those are fewer; at least 1."""
    return max(1, min(along, math.floor((longer / smallest - overlap) / (1 - overlap))))


def _side(length: int, count: int, overlap: float) -> float:
    """How long each of `count` overlapping stretches must be to cover `length`."""
    return length / (count - (count - 1) * overlap)


def spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Stretches (start, end) of 0..length in whole pixels: of one size, evenly spaced."""
    side = min(length, math.ceil(_side(length, count, overlap)))
    starts = [i * (length - side) // max(1, count - 1) for i in range(count)]
    return [(start, start + side) for start in dict.fromkeys(starts)]
