"""Whether the default anchors can match the boxes: the best overlap each box can have with one."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import numpy as np

from detector.data.example import Float32

INPUT_PX = 300
# Sides of a box at 300 px, the square root of its area: what the first map's cells (16 px) and the
# smallest anchor (30 px) make of it.
SIZES = (("tiny", 0, 16), ("small", 16, 32), ("medium", 32, 96), ("large", 96, 10**6))
MATCHED_IOU = 0.5
MOST_BOXES = 20_000  # a sample of this many tells the shares to half a percent


class SizeFit(NamedTuple):
    """Boxes whose side at 300 px lies in low..high px: how many, what share of all, how well met.

    recall: share of them that some anchor overlaps by MATCHED_IOU. mean_iou: of the best anchors.
    """

    name: str
    low: int
    high: int
    boxes: int
    share: float
    recall: float
    mean_iou: float


def anchor_fit(fractions_xyxy: Float32) -> list[SizeFit] | None:
    """How well the default anchors at 300 px meet boxes, (G, 4) in fractions of their pictures.

    The last row is of all sizes together. None without torch (the train extra), which knows the
    anchors. Of more than MOST_BOXES boxes a fixed sample is judged.
    """
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from detector.model.anchors import best_ious, ssd_spec

    boxes = fractions_xyxy
    if len(boxes) > MOST_BOXES:
        chosen = np.random.default_rng(0).choice(len(boxes), MOST_BOXES, replace=False)
        boxes = boxes[np.sort(chosen)]
    best = best_ious(ssd_spec(INPUT_PX), (INPUT_PX, INPUT_PX), torch.from_numpy(boxes)).numpy()
    size = boxes[:, 2:] - boxes[:, :2]
    sides = np.sqrt(size[:, 0] * size[:, 1]) * INPUT_PX
    return [
        _row(name, low, high, best[(sides >= low) & (sides < high)], len(best))
        for name, low, high in (*SIZES, ("all", 0, 10**6))
    ]


def _row(name: str, low: int, high: int, best: Float32, total: int) -> SizeFit:
    if not len(best):
        return SizeFit(name, low, high, 0, 0.0, 0.0, 0.0)
    recall = float((best >= MATCHED_IOU).mean())
    return SizeFit(name, low, high, len(best), len(best) / total, recall, float(best.mean()))
