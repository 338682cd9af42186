"""Four pictures in one view: more objects, smaller ones, in surroundings they never had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from detector.data.augment import Augment, View, crop, resize, training_views
from detector.data.flips import FLIPS

CENTRE = 0.3, 0.7  # share of a side at which the four meet


def with_mosaics(
    augment: Augment,
    picture: Callable[[int], View],
    count: int,
    side: int,
    chance: float,
    *,
    flips: float = FLIPS,
    colours: float = 0.5,
) -> Augment:
    """`augment`, but with `chance` a mosaic of the view and three more, flipped and recoloured.

    picture: of `count`, by number. flips, colours: as in `training_views`. A view stays a function
    of the first one and of the random generator alone, as long as the pictures stay the same.
    YOLOv4, section 3.3.
    """
    finish = training_views(side, crops=0, zoom=0, flips=flips, colours=colours)

    def changed(view: View, rng: np.random.Generator) -> View:
        if rng.uniform() >= chance:
            return augment(view, rng)
        others = [picture(int(number)) for number in rng.integers(count, size=3)]
        return finish(mosaic([view, *others], side, rng), rng)

    return changed


def mosaic(views: Sequence[View], side: int, rng: np.random.Generator) -> View:
    """Four views in the corners of one of side x side pixels, around a random centre.

    Each shows a random part of itself, as stretched as the whole picture would be: between as large
    as alone and as small as fits. Boxes are cut by the rules of `crop`.
    """
    assert len(views) == 4
    x, y = (round(v * side) for v in rng.uniform(*CENTRE, 2))
    corners = [(0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side)]
    image = np.empty((side, side, 3), np.uint8)
    parts: list[View] = []
    for view, (x1, y1, x2, y2) in zip(views, corners, strict=True):
        part = _part(view, x2 - x1, y2 - y1, side, rng)
        image[y1:y2, x1:x2] = part.image_rgb
        parts.append(replace(part, xyxy=part.xyxy + np.array([x1, y1, x1, y1], np.float32)))
    return View(
        image,
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ignore for part in parts]),
    )


def _part(view: View, width: int, height: int, side: int, rng: np.random.Generator) -> View:
    """A random part of a view that fills width x height pixels of a mosaic of `side`."""
    most = side / max(width, height)  # then the part is as wide or as high as the picture
    share = rng.uniform(1, most) / side
    full_h, full_w = view.image_rgb.shape[:2]
    w, h = max(1, int(full_w * width * share)), max(1, int(full_h * height * share))
    x1, y1 = int(rng.integers(full_w - w + 1)), int(rng.integers(full_h - h + 1))
    return resize(crop(view, x1, y1, x1 + w, y1 + h), width, height)
