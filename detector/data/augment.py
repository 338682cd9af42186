"""What training does to a picture: crop, zoom out, flip, change colours, resize.

A view is a function of the picture and of a random generator alone, so that a resumed run sees the
very pictures it would have seen. Geometry that must respect boxes as SSD does is here; the rest is
albumentations'.
"""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from detector.data.example import KNOWN_SHARE, WANTED_SHARE
from detector.data.flips import FLIPS

# albumentations asks a server for its newest version when imported; nobody asked for that.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
A = importlib.import_module("albumentations")  # it has no types

UInt8 = npt.NDArray[np.uint8]
MIN_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9)  # SSD, section 2.2, "Data augmentation"; None: any
CROP_TRIES = 30
FILL = (124, 116, 104)  # the mean colour of ImageNet, for what lies outside the picture


@dataclass(frozen=True)
class View:
    """A picture as it will be learned from.

    image_rgb: (H, W, 3) uint8. xyxy: (G, 4) float32 pixels of it. labels: (G,) int64.
    ignore: (G,) bool, boxes that are neither wanted nor wrong.
    """

    image_rgb: UInt8
    xyxy: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    ignore: npt.NDArray[np.bool_]


Augment = Callable[[View, np.random.Generator], View]


def resize(view: View, width: int, height: int) -> View:
    """Stretch to width x height pixels, bilinearly, as the runtime does."""
    old_height, old_width = view.image_rgb.shape[:2]
    image = cv2.resize(view.image_rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    scale = np.array([width / old_width, height / old_height] * 2, np.float32)
    return replace(view, image_rgb=np.asarray(image, np.uint8), xyxy=view.xyxy * scale)


def crop(view: View, x1: int, y1: int, x2: int, y2: int) -> View:
    """The part from (x1, y1) to (x2, y2) pixels; it may reach outside and is then filled.

    Boxes are clipped; one of which less than WANTED_SHARE is left becomes `ignore`, one of which
    less than KNOWN_SHARE is left is gone.
    """
    height, width = view.image_rgb.shape[:2]
    inside = view.image_rgb[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
    borders = max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0)
    image = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_CONSTANT, value=FILL)
    moved = view.xyxy - np.array([x1, y1, x1, y1], np.float32)
    clipped = np.clip(moved, 0, np.array([x2 - x1, y2 - y1] * 2, np.float32))
    share = _area(clipped) / np.maximum(_area(moved), 1e-6)
    kept = share >= KNOWN_SHARE
    ignore = view.ignore | (share < WANTED_SHARE)
    return View(np.asarray(image, np.uint8), clipped[kept], view.labels[kept], ignore[kept])


def min_iou_crop(view: View, rng: np.random.Generator) -> View:
    """A random part that overlaps some box by at least a random least IoU (SSD, section 2.2).

    One in six is any part; when no part is found in CROP_TRIES tries the view stays whole.
    """
    least = MIN_OVERLAPS[rng.integers(len(MIN_OVERLAPS))]
    height, width = view.image_rgb.shape[:2]
    wanted = view.xyxy[~view.ignore]
    for _ in range(CROP_TRIES):
        w, h = (rng.uniform(0.3, 1.0, 2) * (width, height)).astype(int)
        if not 0.5 <= w / max(h, 1) <= 2 or min(w, h) < 8:
            continue
        x1, y1 = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        part = np.array([x1, y1, x1 + w, y1 + h], np.float32)
        if least is None or len(wanted) == 0 or _iou(wanted, part).max() >= least:
            return crop(view, x1, y1, x1 + int(w), y1 + int(h))
    return view


def zoom_out(view: View, rng: np.random.Generator, most: float = 2.5) -> View:
    """Put the picture somewhere on a canvas of up to `most` times its sides: objects shrink."""
    height, width = view.image_rgb.shape[:2]
    ratio = rng.uniform(1.0, most)
    w, h = int(width * ratio), int(height * ratio)
    x1, y1 = -int(rng.integers(w - width + 1)), -int(rng.integers(h - height + 1))
    return crop(view, x1, y1, x1 + w, y1 + h)


def training_views(
    side: int,
    *,
    crops: float = 0.8,
    zoom: float = 0.2,
    flips: float = FLIPS,
    colours: float = 0.5,
) -> Augment:
    """The default augmentation: crop or zoom out, resize to `side`, flip, change colours.

    zoom: chance of zooming out; crops: of a crop among the others; flips: of being mirrored;
    colours: of each of two changes, of brightness with contrast and of hue with saturation.
    """
    finish = A.Compose(
        [
            A.HorizontalFlip(p=flips),
            A.RandomBrightnessContrast(0.2, 0.2, p=colours),
            A.HueSaturationValue(
                hue_shift_limit=8, sat_shift_limit=40, val_shift_limit=20, p=colours
            ),
            A.ToGray(p=0.04 * colours),
        ],
        bbox_params=A.BboxParams("pascal_voc", label_fields=["row"], clip=True, min_area=1.0),
    )

    def augment(view: View, rng: np.random.Generator) -> View:
        chance = rng.uniform()
        if chance < zoom:
            view = zoom_out(view, rng)
        elif chance < zoom + (1 - zoom) * crops:
            view = min_iou_crop(view, rng)
        view = resize(view, side, side)
        # Not set_random_seed: it starts every transform alike, so all would happen or none.
        finish.set_random_state(rng, random.Random(int(rng.integers(2**31))))
        rows = np.arange(len(view.labels))
        done = finish(image=view.image_rgb, bboxes=view.xyxy.reshape(-1, 4), row=rows)
        left = np.asarray(done["row"], np.int64).reshape(-1)
        boxes = np.asarray(done["bboxes"], np.float32).reshape(-1, 4)
        return View(done["image"], boxes, view.labels[left], view.ignore[left])

    return augment


def plain_view(side: int) -> Augment:
    """Resize only: validation, and the last part of training."""
    return lambda view, rng: resize(view, side, side)


def nearby_view(side: int, flips: float = FLIPS, least: float = 0.85) -> Augment:
    """A part of `least` to all of each side, anywhere, mirrored with chance `flips`; resized.

    As likely a picture as the whole one, but one that lies otherwise on the network's grid: what a
    network finds in several of them depends less on chance.
    """

    def augment(view: View, rng: np.random.Generator) -> View:
        height, width = view.image_rgb.shape[:2]
        w, h = (np.ceil(rng.uniform(least, 1.0, 2) * (width, height))).astype(int)
        x1, y1 = rng.integers(width - w + 1), rng.integers(height - h + 1)
        part = resize(crop(view, int(x1), int(y1), int(x1 + w), int(y1 + h)), side, side)
        return mirrored(part) if rng.uniform() < flips else part

    return augment


def flipped_view(side: int, flips: float = FLIPS) -> Augment:
    """Resize, and mirror with chance `flips`: the last part of training."""

    def augment(view: View, rng: np.random.Generator) -> View:
        view = resize(view, side, side)
        return view if rng.uniform() < 1 - flips else mirrored(view)

    return augment


def mirrored(view: View) -> View:
    """Left for right."""
    boxes = view.xyxy.copy()
    boxes[:, [0, 2]] = view.image_rgb.shape[1] - view.xyxy[:, [2, 0]]
    return replace(view, image_rgb=np.ascontiguousarray(view.image_rgb[:, ::-1]), xyxy=boxes)


def _area(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    size = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(size[:, 0] * size[:, 1], np.float32)


def _iou(boxes: npt.NDArray[np.float32], one: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    low, high = np.maximum(boxes[:, :2], one[:2]), np.minimum(boxes[:, 2:], one[2:])
    inter = _area(np.concatenate([low, high], axis=1))
    union = _area(boxes) + _area(one[None]) - inter
    return np.asarray(inter / np.maximum(union, 1e-6), np.float32)
