"""Labelled pictures made on the spot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector.data.example import Dataset, Example


def gray(folder: Path, count: int, boxed: set[int] | None = None) -> Dataset:
    """Small gray pictures, those numbered in `boxed` (default all) with a box."""
    examples = []
    for number in range(count):
        path = folder / f"{number:02}.png"
        cv2.imwrite(str(path), np.full((20, 30, 3), number, np.uint8))
        many = int(boxed is None or number in boxed)
        boxes = np.array([[2, 2, 12, 12]] * many, np.float32).reshape(-1, 4)
        labels, ignore = np.zeros(many, np.int64), np.zeros(many, bool)
        examples.append(Example(path, boxes, labels, ignore, None, ""))
    return Dataset(tuple(examples), ("person",))
