"""Pictures as flat arrays: every box of every picture in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.data.account import counted
from detector.evaluation.analysis import Float64, Int64, Picture

MOST = 100  # detections of a class in a picture that COCO looks at

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """All labelled boxes, picture by picture. picture: (G,) its number; xyxy: (G, 4); area: (G,)
    square pixels, which tell small from large; labels: (G,); ignore: (G,) neither wanted nor wrong.
    """

    picture: Int64
    labels: Int64
    xyxy: Float64
    ignore: Bool
    area: Float64


@dataclass(frozen=True)
class Found:
    """All detections, best score first. picture: (D,); labels: (D,); xyxy: (D, 4); scores: (D,)."""

    picture: Int64
    labels: Int64
    xyxy: Float64
    scores: Float64


@dataclass(frozen=True)
class Table:
    """What was to be found in `pictures` pictures, and what was; `classes` labels in all."""

    truth: Truth
    found: Found
    pictures: int
    classes: int


def tabulate(pictures: Sequence[Picture], classes: int) -> Table:
    """All boxes of the pictures."""
    truth = Truth(
        _numbers([len(p.labels) for p in pictures]),
        _join([p.labels for p in pictures], np.zeros(0, np.int64)),
        as_written(_join([p.xyxy for p in pictures], np.zeros((0, 4), np.float32))),
        _join([p.ignore for p in pictures], np.zeros(0, np.bool_)),
        _join([_area(p) for p in pictures], np.zeros(0)).astype(np.float64),
    )
    number = _numbers([len(p.found) for p in pictures])
    labels = _join([p.found.labels for p in pictures], np.zeros(0, np.int64))
    boxes = _join([exact_found(p) for p in pictures], np.zeros((0, 5)))
    xyxy, scores = boxes[:, :4], boxes[:, 4]
    order = np.argsort(-scores, kind="stable")
    found = Found(number[order], labels[order], xyxy[order], scores[order])
    return Table(truth, found, len(pictures), classes)


def only(table: Table, kept: Bool) -> Table:
    """The table with some of its detections, (D,)."""
    found = table.found
    rows = (found.picture[kept], found.labels[kept], found.xyxy[kept], found.scores[kept])
    return replace(table, found=Found(*rows))


def counted_by_coco(table: Table) -> Table:
    """The table with the `MOST` best detections of each class in a picture."""
    keys = table.found.picture * table.classes + table.found.labels
    return only(table, _rank(keys) < MOST)


def crowded(table: Table) -> int:
    """How many pictures have more than `MOST` wanted boxes of one class."""
    wanted = ~table.truth.ignore
    keys = table.truth.picture[wanted] * table.classes + table.truth.labels[wanted]
    some, counts = np.unique(keys, return_counts=True)
    return len(np.unique(some[counts > MOST] // max(table.classes, 1)))


def about_crowds(pictures: int) -> str:
    """What figures mean where so many pictures are crowded."""
    return (
        f"{counted(pictures, 'picture')} with more than {MOST} objects of a class, where COCO's "
        f"figures (AP, AR) count the {MOST} best detections alone and so stay low. F1, curves, "
        "mistakes and VOC's figures count all."
    )


def exact_found(picture: Picture) -> Float64:
    """(D, 5) xyxy and score of what was found, as exactly as it is known."""
    if picture.exact is not None:
        return picture.exact
    scores = picture.found.scores.astype(np.float64)
    return np.concatenate([as_written(picture.found.xyxy), scores[:, None]], axis=1)


def as_written(pixels: npt.NDArray[np.float32]) -> Float64:
    """float32 coordinates as the decimals they came from: 10.1, not 10.1000003815.

    Four decimals below 1,000 pixels, one less for each further digit: what float32 holds. So an
    overlap that is exactly a half, or an area of exactly 32 squared, stays what the file says.
    """
    values = pixels.astype(np.float64)
    digits = np.floor(np.log10(np.maximum(np.abs(values), 100)))
    scale = 10.0 ** (6 - digits)
    return np.asarray(np.round(values * scale) / scale)


def as_xywh(xyxy: Float64) -> Float64:
    """(N, 4) left, top, width, height; 42.1 - 10.1 is 32, not 32.00000000000001."""
    wh: Float64 = np.round(xyxy[:, 2:] - xyxy[:, :2], 9)
    return np.concatenate([xyxy[:, :2], wh], axis=1)


def _area(picture: Picture) -> npt.NDArray[Any]:
    if picture.area is not None:
        return picture.area
    size = as_xywh(as_written(picture.xyxy))[:, 2:]
    return np.asarray(size[:, 0] * size[:, 1])


def _numbers(counts: Sequence[int]) -> Int64:
    """[2, 0, 1] -> [0, 0, 2]."""
    return np.repeat(np.arange(len(counts)), np.asarray(counts, np.int64))


def _join(parts: Sequence[npt.NDArray[Any]], none: npt.NDArray[Any]) -> Any:
    return np.concatenate([none, *parts])


def _rank(keys: Int64) -> Int64:
    """How many equal keys come before each."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    first = np.searchsorted(sorted_keys, sorted_keys)
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys)) - first
    return rank


def spans(sorted_keys: Int64) -> list[tuple[int, int, int]]:
    """(key, start, end) of each run of equal keys."""
    keys, starts = np.unique(sorted_keys, return_index=True)
    ends = np.append(starts, len(sorted_keys))[1:]
    return list(zip(keys.tolist(), starts.tolist(), ends.tolist(), strict=True))
