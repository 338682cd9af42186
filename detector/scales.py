"""Several looks at one frame: large objects from a small input, small ones from a large one.

A network trained at one size knows objects by their size in pixels. At a larger input small objects
come into its range and large ones leave it, so each size is asked only for what it sees best, and
one non-maximum suppression makes the answers one. docs/resolution.md has what that is worth.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detector.engine import Engine, Outputs
from detector.errors import DetectorError

# A pass takes objects from LEAST to MOST of the native size (root of the box's area, in pixels of
# that pass). Chosen on 337 pictures of COCO 2017 train by scripts/choose_scales.py.
LEAST, MOST = 0.25, 0.5
MAX_SCALES = 4  # more than that cost time and found nothing

UInt8 = npt.NDArray[np.uint8]
Share = tuple[float, float]


def in_order(scales: Sequence[int]) -> list[int]:
    """The sizes, smallest first; DetectorError unless they are 2 to MAX_SCALES different ones."""
    sizes = sorted(set(scales))
    if len(sizes) != len(scales) or not 2 <= len(sizes) <= MAX_SCALES:
        given = ",".join(map(str, scales))
        raise DetectorError(
            f"scales {given}: expected 2 to {MAX_SCALES} different sizes, for instance 300,512"
        )
    return sizes


def shares(
    sizes: Sequence[float], native: int, least: float = LEAST, most: float = MOST
) -> list[Share]:
    """Which objects each pass answers for: root of the box's area over the frame's, from .. to.

    sizes: of the passes, ascending, pixels. native: what the network was trained at. The smallest
    pass has no upper end and the largest no lower one. Between two neighbours that share nothing
    the border is drawn halfway (by ratio), so that no object is left out.
    """
    lows, highs = [0.0] * len(sizes), [math.inf] * len(sizes)
    for k, (small, large) in enumerate(itertools.pairwise(sizes)):
        low, high = least * native / small, most * native / large
        lows[k], highs[k + 1] = (low, high) if low <= high else (math.sqrt(low * high),) * 2
    return list(zip(lows, highs, strict=True))


def size_of(xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(B, 4) -> (B,) root of the area; 0 for an inverted box."""
    return np.asarray(np.sqrt(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).prod(axis=1)))


def within(xyxy: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.int64]:
    """Rows of the boxes (B, 4) whose size, root of the area, lies in low..high, same unit."""
    size = size_of(xyxy)
    return np.flatnonzero((size >= low) & (size <= high))


def merge(outputs: Sequence[Outputs], ranges: Sequence[Share]) -> Outputs:
    """The rows of every pass that it answers for, as one: boxes (B, 4) fractions, scores (B, K)."""
    boxes, scores = [], []
    for (xyxy, values), (low, high) in zip(outputs, ranges, strict=True):
        rows = within(xyxy, low, high)
        boxes.append(xyxy[rows])
        scores.append(values[rows])
    return np.concatenate(boxes), np.concatenate(scores)


class Passes:
    """One network at several sizes, all at work at once; `infer` may be called from any thread."""

    def __init__(self, engines: Sequence[Engine], ranges: Sequence[Share]) -> None:
        self._engines, self._ranges = engines, ranges

    def infer(self, batches: Sequence[UInt8]) -> Outputs:
        """A batch for each engine, in their order -> what `Engine.infer` gives for one."""
        started = zip(self._engines, batches, strict=True)
        # The largest first: it takes longest, and the others fill the cores where it leaves gaps.
        waiting = [engine.start(batch) for engine, batch in reversed(list(started))]
        return merge([wait() for wait in reversed(waiting)], self._ranges)
