"""Boxes that glide to where another input size sees them, instead of jumping there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.detections import Detections, pairwise_iou

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
            iou = pairwise_iou(found.xyxy, before.xyxy)
            iou[found.labels[:, None] != before.labels[None]] = 0
            nearest = iou.argmax(axis=1)
            same = iou.max(axis=1) >= SAME_BOX
            weight = np.float32(self._left / (EASED_FRAMES + 1)) * same[:, None]
            found = replace(found, xyxy=found.xyxy + weight * (before.xyxy[nearest] - found.xyxy))
        self._left = max(0, self._left - 1)
        self._shown = found
        return found
