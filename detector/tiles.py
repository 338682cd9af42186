"""Closer looks at one frame: overlapping tiles for small objects, the whole frame for large ones.

Each tile goes through the network at the network's own size, so what is small in a large picture
comes into its range (sliced inference: Akyon et al. 2022, arXiv 2202.06934). Between the tiles
asked for and the whole frame lie coarser ones, each level of about twice the side. An object that a
tile cuts off is left to the neighbour that sees it whole, else to a coarser tile, and one
non-maximum suppression makes the answers one. docs/resolution.md has what that is worth.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Semaphore

import numpy as np
import numpy.typing as npt

from detector.cutting import OVERLAP, Tile, cut, fitting
from detector.engine import Engine, Outputs
from detector.preprocess import to_batch
from detector.scales import Share, shares, size_of

# Chosen on 337 pictures of COCO 2017 train, and mosaics of them, by scripts/choose_tiles.py.
MARGIN = 0.02  # a box that ends so near an inner border (share of the tile's side) is cut off there
# Smallest objects of a coarser tile and largest of a finer one, in native sizes. A higher LEAST is
# 0.1 to 0.6 AP better, but then what only the whole frame sees well is lost.
LEAST, MOST = 0.05, 0.75
SMALLEST = 0.5  # a tile's least longer side, in inputs: closer there is nothing new to see

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """A tile and which boxes it answers for, all as fractions of the frame.

    sizes: from .. to, root of the area. uncut: (1, 4) what a box must stay inside of. finer: (T, 4)
    the same of the next finer tiles: what none of them sees whole is this look's, however small.
    """

    tile: Tile
    sizes: Share
    uncut: Float64
    finer: Float64

    def answers(self, xyxy: Float32) -> Bool:
        """(B,) which of the boxes (B, 4)."""
        size, (low, high) = size_of(xyxy), self.sizes
        own = inside(xyxy, self.uncut) & (size <= high)
        return own & ((size >= low) | ~inside(xyxy, self.finer))


def looks(
    frame_hw: tuple[int, ...],
    along: int,
    side: int,
    native: int,
    *,
    overlap: float = OVERLAP,
    margin: float = MARGIN,
    least: float = LEAST,
    most: float = MOST,
) -> list[Look]:
    """All looks at a frame, the whole first. side: of the network's input; native: what it was
    trained at, pixels. The rest as the constants above say.
    """
    counts = [fitting(max(frame_hw), along, SMALLEST * side, overlap)]
    while counts[0] > 1:
        counts.insert(0, counts[0] // 2)
    grids = [cut(frame_hw, count, overlap=overlap) for count in counts]
    # A tile is to the frame what a larger input is: it shows each object so many times larger.
    closer = [math.sqrt(math.prod(frame_hw) / math.prod(grid[0].size_wh)) for grid in grids]
    ranges = shares([side * times for times in closer], native, least, most)
    limits = [_limits(grid, frame_hw, margin) for grid in grids] + [np.zeros((0, 4))]
    return [
        Look(tile, ranges[level], limits[level][number : number + 1], limits[level + 1])
        for level, grid in enumerate(grids)
        for number, tile in enumerate(grid)
    ]


def _limits(tiles: list[Tile], frame_hw: tuple[int, ...], margin: float) -> Float64:
    """(T, 4) where a box must begin and end to be whole in each tile, as fractions of the frame.

    The frame's own borders are no limits: what ends there ends there for everyone.
    """
    height, width = frame_hw
    edges = np.array([(t.left, t.top, t.right, t.bottom) for t in tiles], np.float64)
    inward = margin * np.tile(edges[:, 2:] - edges[:, :2], 2) * [1, 1, -1, -1]
    inner = np.hstack([edges[:, :2] > 0, edges[:, 2:] < [width, height]])
    ends = np.array([-np.inf, -np.inf, np.inf, np.inf])
    return np.where(inner, (edges + inward) / [width, height, width, height], ends)


def inside(xyxy: Float32, limits: Float64) -> Bool:
    """(B,) which of the boxes (B, 4) lie inside any of the limits (T, 4); same unit."""
    low = xyxy[:, None, :2] > limits[None, :, :2]
    high = xyxy[:, None, 2:] < limits[None, :, 2:]
    whole: Bool = np.logical_and.reduce(low & high, axis=2)
    return np.asarray(np.logical_or.reduce(whole, axis=1))


def in_frame(xyxy: Float32, tile: Tile, frame_hw: tuple[int, ...]) -> Float32:
    """Boxes (B, 4) as fractions of the tile -> as fractions of the frame."""
    corner = np.array([tile.left, tile.top] * 2, np.float64)
    size = np.array([frame_hw[1], frame_hw[0]] * 2, np.float64)
    return np.asarray((xyxy * np.array(tile.size_wh * 2) + corner) / size, np.float32)


class Tiles:
    """One network that looks at a frame whole and in tiles; `infer` may be called from any thread.

    side: of the engine's input, native: what the network was trained at, pixels. along: tiles along
    a frame's longer side.
    """

    def __init__(self, engine: Engine, side: int, native: int, along: int) -> None:
        self._engine, self._side, self._native, self._along = engine, side, native, along
        # Tiles under way, of all threads together: enough to keep the engine busy while the next
        # one is cut, and no more, or a large picture in a hundred tiles would fill the memory.
        self._places = Semaphore(engine.parallel + 1)

    def infer(self, frame_bgr: UInt8, score: float) -> Outputs:
        """A frame (H, W, 3) -> what `Engine.infer` gives for one input: the rows that have any
        score of at least `score`, boxes as fractions of the frame.
        """
        frame_hw = frame_bgr.shape[:2]
        found: list[Outputs] = []
        waiting: deque[tuple[Look, Callable[[], Outputs]]] = deque()

        def finish() -> None:
            look, wait = waiting.popleft()
            try:
                found.append(_answers(wait(), look, frame_hw, score))
            finally:
                self._places.release()

        try:
            for look in looks(frame_hw, self._along, self._side, self._native):
                # Whoever has a tile under way waits for that; so nobody waits for ever.
                while not self._places.acquire(blocking=not waiting):
                    finish()
                waiting.append((look, self._start(look.tile.view(frame_bgr))))
            while waiting:
                finish()
        finally:  # after an error: the engine still reads what it was given
            while waiting:
                with suppress(Exception):
                    waiting.popleft()[1]()
                self._places.release()
        boxes, scores = zip(*found, strict=True)
        return np.concatenate(boxes), np.concatenate(scores)

    def _start(self, part_bgr: UInt8) -> Callable[[], Outputs]:
        """Begin one look; gives its place back where that fails."""
        try:
            return self._engine.start(to_batch(part_bgr, (self._side, self._side)))
        except BaseException:
            self._places.release()
            raise


def _answers(outputs: Outputs, look: Look, frame_hw: tuple[int, ...], score: float) -> Outputs:
    """The rows that a look answers for, their boxes as fractions of the frame."""
    boxes, scores = outputs
    rows = np.flatnonzero(scores.max(axis=1, initial=0) >= score)
    placed = in_frame(boxes[rows], look.tile, frame_hw)
    kept = look.answers(placed)
    return placed[kept], scores[rows[kept]]
