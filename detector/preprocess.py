"""From a frame to what a model file takes: the only copy."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def to_batch(frame_bgr: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR -> (1, h, w, 3), stretched to `size_hw` bilinearly; always a copy.

    Plain bilinear because the weights were trained so: averaging over areas costs 0.7 mAP. The
    colours' order and range are the model file's business.
    """
    height, width = size_hw
    batch = np.empty((1, height, width, 3), np.uint8)
    cv2.resize(frame_bgr, (width, height), dst=batch[0], interpolation=cv2.INTER_LINEAR)
    return batch
