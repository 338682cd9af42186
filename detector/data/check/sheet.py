"""Pictures with their boxes drawn in: thumbnails for the page, a sheet of augmented views."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from detector.colors import class_color
from detector.data.example import Bool, Dataset, Example, Float32, Int64
from detector.data.shrunk import read_shrunk

if TYPE_CHECKING:
    from detector.data.augment import View

UInt8 = npt.NDArray[np.uint8]
RED, GRAY, WHITE = (40, 40, 235), (150, 150, 150), (255, 255, 255)  # BGR
GAP = 4


def thumbnail(path: Path, example: Example | None, marked: Collection[int], side: int) -> UInt8:
    """A picture, no side above `side`, with its boxes; rows in `marked` in red on white.

    Raises DetectorError when it cannot be read.
    """
    small, (sx, sy) = read_shrunk(path, side)
    image: UInt8 = small.copy()
    if example is not None:
        boxes = example.xyxy * np.array([sx, sy, sx, sy], np.float32)
        draw_boxes(image, boxes, example.labels, example.ignore, marked)
    return image


def draw_boxes(
    image_bgr: UInt8, xyxy: Float32, labels: Int64, ignore: Bool, marked: Collection[int] = ()
) -> None:
    """Boxes in their class's colour, those to ignore gray; `marked` rows last, visible anyhow."""
    height, width = image_bgr.shape[:2]
    for row in sorted(range(len(labels)), key=lambda r: r in marked):
        # One that lies outside is drawn at the border it left by.
        x1, y1, x2, y2 = (int(v) for v in np.clip(np.rint(xyxy[row]), -9, 9999))
        low = (min(max(x1, 0), width - 1), min(max(y1, 0), height - 1))
        high = (min(max(x2 - 1, 0), width - 1), min(max(y2 - 1, 0), height - 1))
        if row in marked:
            cv2.rectangle(image_bgr, low, high, WHITE, 6)
            cv2.rectangle(image_bgr, low, high, RED, 3)
        else:
            color = GRAY if ignore[row] else class_color(int(labels[row]))
            cv2.rectangle(image_bgr, low, high, (0, 0, 0), 4)
            cv2.rectangle(image_bgr, low, high, color, 2)


def augmented_sheet(
    dataset: Dataset,
    side: int = 300,
    rows: int = 6,
    views: int = 5,
    seed: int = 0,
    mosaic: float = 0.0,
) -> UInt8:
    """Pictures as training sees them, one a row: resized, then `views` augmentations of it.

    mosaic: chance of one with three of the other rows' pictures.
    Wanted boxes in their class's colour, ignored ones gray. Needs albumentations (train extra).
    """
    from detector.data.augment import plain_view, training_views
    from detector.data.flips import flips_for
    from detector.data.loading import Pictures
    from detector.data.mosaic import with_mosaics

    rng = np.random.default_rng(seed)
    labelled = [e for e in dataset.examples if len(e.labels)] or list(dataset.examples)
    chosen = rng.permutation(len(labelled))[:rows]
    pictures = Pictures([labelled[i] for i in chosen], side)
    flips = flips_for(dataset.class_names)
    augment, plain = training_views(side, flips=flips), plain_view(side)
    if mosaic:
        augment = with_mosaics(augment, pictures.view, len(pictures), side, mosaic, flips=flips)
    lines = []
    for index in range(len(pictures)):
        view = pictures.view(index)
        shown = [plain(view, rng), *(augment(view, rng) for _ in range(views))]
        lines.append(cv2.hconcat([_tile(one) for one in shown]))
    return np.asarray(cv2.vconcat(lines), np.uint8)


def _tile(view: View) -> UInt8:
    """A view in BGR with its boxes and a white margin."""
    image = np.ascontiguousarray(view.image_rgb[:, :, ::-1])
    draw_boxes(image, view.xyxy, view.labels, view.ignore)
    framed = cv2.copyMakeBorder(image, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=WHITE)
    return np.asarray(framed, np.uint8)
