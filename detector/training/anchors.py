"""Anchors of the shapes that the training boxes have, and how well any anchors can meet them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from detector.cutting import MAX_TILES, OVERLAP
from detector.data.loading import Pictures
from detector.data.split import thinned
from detector.model.anchors import AnchorSpec, best_ious, growth
from detector.training.options import AnchorChoice
from detector.training.plan import SIZES

Float = npt.NDArray[np.float64]
Shapes = tuple[tuple[float, float], ...]
MOST = 2000  # pictures whose boxes are looked at
BOXES_PER_SHAPE = 4  # at least: fewer tell nothing of those to come
MATCHED_IOU = 0.5  # SSD, section 2.2
# Share of boxes by which fitted anchors must be better to be worth a try. New shapes spoil some of
# what the weights know: 0.15 more met did not pay after 960 pictures (24.1 AP before, 23.0 fitted),
# nothing more met cost 14 points, 0.57 more met gained 18 (raccoons at 300 and 512 px).
WORTH = 0.25
SMALL_PX = 48  # from this side on the first map's cells (16 px) are dense enough for any box
# At this side a box 4 px off an anchor's centre both ways, the mean with 16 px between centres,
# still overlaps one of its shape by half.
ENOUGH_PX = 24
FINE = 0.95  # share of boxes met from which other anchors are not worth a thought
STARTS, ROUNDS = 5, 100


class Met(NamedTuple):
    """How well anchors can meet boxes at best.

    recall: share of boxes that some anchor overlaps by MATCHED_IOU. mean_iou: of the best anchors.
    missed_px: median side of the other boxes in pixels of the input; nan where there are none.
    """

    recall: float
    mean_iou: float
    missed_px: float

    def __str__(self) -> str:
        return f"{self.recall:.1%} (mean best IoU {self.mean_iou:.2f})"


def choose_anchors(
    own: AnchorSpec, pictures: Pictures, side: int, choice: AnchorChoice
) -> tuple[AnchorSpec, str]:
    """`own`, those of the weights, or fitted ones; and a line that says how good both could be.

    side: of the input in pixels. choice: "auto" fits where that gains more than WORTH. Without
    boxes `own` stays, and the line is empty.
    """
    boxes = training_boxes(pictures)
    if not len(boxes):
        return own, ""
    before = met(own, boxes, side)
    told = f"anchors: of {len(boxes)} boxes the weights' own can meet {before}"
    if choice != "fit" and before.recall >= FINE:
        return own, f"{told}, which is fine"
    fitted = fit_anchors(own, boxes, side)
    after = met(fitted, boxes, side)
    worth = after.recall > before.recall + WORTH
    chosen = fitted if choice == "fit" or (choice == "auto" and worth) else own
    taken = "are taken" if chosen is fitted else "are not taken"
    told = f"{told}; fitted ones, which {taken}, {after}"
    return chosen, told + _hint(before, after, choice, own.native_size, side)


def _hint(before: Met, after: Met, choice: AnchorChoice, native: int, side: int) -> str:
    """What to do about it."""
    if choice == "fit" and before.recall >= FINE:
        return "; the weights' own would do: leave out --anchors fit"
    if after.recall > before.recall + WORTH:
        if before.missed_px > native:  # the weights never saw such large objects
            return f"; the missed are large: try --size {native}"
        if choice == "own":
            return "; try --anchors fit"
    if after.recall < FINE and after.missed_px < SMALL_PX:
        px = after.missed_px
        return f"; the missed are small ({px:.0f} px): {closer(px, side)}"
    return ""


def closer(missed_px: float, side: int) -> str:
    """How to bring objects of `missed_px` at input `side` up to ENOUGH_PX."""
    factor = ENOUGH_PX / missed_px
    size = 32 * math.ceil(max(factor, 1.1) * side / 32)
    if size <= SIZES[1]:
        return f"try --size {size}"
    tiles = min(MAX_TILES, max(2, math.ceil((factor - OVERLAP) / (1 - OVERLAP))))
    return (
        f"too small for any --size, so cut the pictures: 'detector check DATA --fix PARTS --tiles "
        f"{tiles}', learn PARTS, and detect with --tiles {tiles}"
    )


def training_boxes(pictures: Pictures) -> npt.NDArray[np.float32]:
    """The wanted boxes of at most MOST pictures, evenly spread: (G, 4) xyxy, fractions."""
    return np.concatenate([pictures.fractions(i) for i in thinned(range(len(pictures)), MOST)])


def met(spec: AnchorSpec, boxes: npt.NDArray[np.float32], side: int) -> Met:
    """What the anchors at input `side` can do for boxes, (G, 4) xyxy in fractions, G > 0."""
    best = best_ious(spec, (side, side), torch.from_numpy(boxes)).numpy()
    missed = sides(boxes[best < MATCHED_IOU]) * side
    missed_px = float(np.median(missed)) if len(missed) else math.nan
    return Met(float((best >= MATCHED_IOU).mean()), float(best.mean()), missed_px)


def sides(boxes: npt.NDArray[np.float32]) -> Float:
    """Root of the area of boxes: (G, 4) xyxy -> (G,)."""
    return np.asarray(np.sqrt((boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)))


def fit_anchors(own: AnchorSpec, boxes: npt.NDArray[np.float32], side: int) -> AnchorSpec:
    """`own` with shapes clustered from boxes, (G, 4) xyxy in fractions of an input of `side` px.

    Each map keeps its number of shapes, so that weights still fit, and gets those of the boxes of
    its own size: clustering all boxes together and dealing the shapes out by area would put anchors
    for small objects on maps of few cells (it met 16 % of the boxes of a set of small fruit, where
    `own` met 35 % and this 49 %). At another side than the native one a map's own size can mean its
    pixels or its share of the input: whichever meets the boxes better. Each shape takes the place
    of the old one that it is most like; with few boxes there are fewer, and old ones stay.

    The boxes are those of the plain pictures. Crops and zooming out change a box's side by 2 % to
    10 % on average; they spread it (by a factor of 1.5 either way), and the maps that keep their
    shapes cover that.
    """
    scale = side / own.native_size
    wanted = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64) * scale
    limits = _limits(own)
    made = [_fit_maps(own, wanted, limits * factor, scale) for factor in sorted({1.0, scale})]
    return max(made, key=lambda spec: met(spec, boxes, side).mean_iou)


def _fit_maps(own: AnchorSpec, wanted: Float, limits: Float, scale: float) -> AnchorSpec:
    """Cluster sizes, (G, 2) in parts of the native size, map by map; limits: (maps - 1,).

    scale: of the input to the native size, with which anchors of coarse maps grow by themselves.
    """
    maps = np.digitize(np.sqrt(wanted.prod(axis=1)), limits)
    shapes = []
    for k, old in enumerate(own.shapes_wh):
        grown = scale ** growth(own.native_size, own.first_stride * 2**k)
        mine = wanted[maps == k] / grown
        kinds = len(np.unique(mine.round(4), axis=0))  # boxes of one size differ by rounding
        count = min(len(old), len(mine) // BOXES_PER_SHAPE, kinds)
        shapes.append(_in_place_of(old, iou_kmeans(mine, count)) if count else old)
    return replace(own, shapes_wh=tuple(shapes))


def _limits(spec: AnchorSpec) -> Float:
    """Sizes (roots of areas) between maps: halfway, as factors, from one's largest to the next."""
    sizes = [[math.sqrt(w * h) for w, h in shapes] for shapes in spec.shapes_wh]
    between = [math.sqrt(max(low) * min(high)) for low, high in itertools.pairwise(sizes)]
    return np.asarray(np.maximum.accumulate(between))


def iou_kmeans(boxes_wh: Float, count: int) -> Float:
    """Cluster (G, 2) sizes into (count, 2) by 1 - IoU of boxes that share a centre.

    YOLO9000, section 2, "Dimension Clusters"; the best of STARTS tries, from a fixed random
    generator. At least `count` sizes must differ.
    """
    rng = np.random.default_rng(0)
    tries = [_refined(boxes_wh, _seeds(boxes_wh, count, rng)) for _ in range(STARTS)]
    return max(tries, key=lambda shapes: float(_iou(boxes_wh, shapes).max(axis=1).mean()))


def _seeds(boxes_wh: Float, count: int, rng: np.random.Generator) -> Float:
    """Some of the sizes, (count, 2), far from each other, as k-means++ draws them."""
    shapes: Float = boxes_wh[rng.integers(len(boxes_wh))][None]
    while len(shapes) < count:
        far = (1 - _iou(boxes_wh, shapes).max(axis=1)).clip(0) ** 2
        chosen = boxes_wh[rng.choice(len(boxes_wh), p=far / far.sum())]
        shapes = np.concatenate([shapes, chosen[None]])
    return shapes


def _refined(boxes_wh: Float, shapes: Float) -> Float:
    """Each shape moved to the mean of the sizes nearest to it, until none moves."""
    for _ in range(ROUNDS):
        nearest = _iou(boxes_wh, shapes).argmax(axis=1)
        groups = [boxes_wh[nearest == j] for j in range(len(shapes))]
        new = np.array(
            [g.mean(axis=0) if len(g) else s for g, s in zip(groups, shapes, strict=True)]
        )
        if np.allclose(new, shapes):
            break
        shapes = new
    return shapes


def _iou(a: Float, b: Float) -> Float:
    """IoU of boxes that share a centre: (G, 2), (S, 2) -> (G, S)."""
    inter = np.minimum(a[:, None], b[None]).prod(axis=-1)
    return np.asarray(inter / (a.prod(axis=-1)[:, None] + b.prod(axis=-1)[None] - inter))


def _in_place_of(old: Shapes, new: Float) -> Shapes:
    """The old shapes, each new one in place of one of them: all together, of the most alike."""
    alike = _iou(new, np.array(old))
    rows = range(len(new))
    places = max(
        itertools.permutations(range(len(old)), len(new)),
        key=lambda places: float(alike[rows, places].sum()),
    )
    shapes = list(old)
    for place, (w, h) in zip(places, new.tolist(), strict=True):
        shapes[place] = w, h
    return tuple(shapes)
