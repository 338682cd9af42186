"""Boxes that glide to where another input size sees them, instead of jumping there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.detections import Detections, Float32

EASED_FRAMES = 6  # over which boxes go from where the old size saw them to where the new one does
SAME_BOX = 0.6  # IoU of an object's boxes by the two; lower is another object, or one moving fast


class Easing:
    """Lets boxes glide for a few frames where another size sees the same objects elsewhere."""

    def __init__(self) -> None:
        self._left = 0
        self._shown: Detections | None = None

    def begin(self) -> None:
        """The next frame is the first of another size."""
        self._left = EASED_FRAMES

    def __call__(self, found: Detections) -> Detections:
        """What to show for a frame's detections; the same ones, the boxes maybe moved."""
        before = self._shown
        if self._left > 0 and before is not None and len(before) and len(found):
            iou = _iou(found.xyxy, before.xyxy)
            iou[found.labels[:, None] != before.labels[None]] = 0
            nearest = iou.argmax(axis=1)
            same = iou.max(axis=1) >= SAME_BOX
            weight = np.float32(self._left / (EASED_FRAMES + 1)) * same[:, None]
            found = replace(found, xyxy=found.xyxy + weight * (before.xyxy[nearest] - found.xyxy))
        self._left = max(0, self._left - 1)
        self._shown = found
        return found


def _iou(a: Float32, b: Float32) -> Float32:
    """IoU of each with each: (D, 4), (E, 4) xyxy with area -> (D, E)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    return np.asarray(inter / (area_a[:, None] + area_b[None] - inter), np.float32)
