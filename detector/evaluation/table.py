"""Pictures as flat arrays: every box of every picture in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
    """All boxes of the pictures; of a class in a picture the `MOST` best detections."""
    truth = Truth(
        _numbers([len(p.labels) for p in pictures]),
        _join([p.labels for p in pictures], np.zeros(0, np.int64)),
        _join([p.xyxy for p in pictures], np.zeros((0, 4))).astype(np.float64),
        _join([p.ignore for p in pictures], np.zeros(0, np.bool_)),
        _join([_area(p) for p in pictures], np.zeros(0)).astype(np.float64),
    )
    number = _numbers([len(p.found) for p in pictures])
    labels = _join([p.found.labels for p in pictures], np.zeros(0, np.int64))
    xyxy = _join([p.found.xyxy for p in pictures], np.zeros((0, 4))).astype(np.float64)
    scores = _join([p.found.scores for p in pictures], np.zeros(0)).astype(np.float64)
    kept = np.argsort(-scores, kind="stable")
    kept = kept[_rank(number[kept] * classes + labels[kept]) < MOST]
    found = Found(number[kept], labels[kept], xyxy[kept], scores[kept])
    return Table(truth, found, len(pictures), classes)


def _area(picture: Picture) -> npt.NDArray[np.float32]:
    if picture.area is not None:
        return picture.area
    size: npt.NDArray[np.float32] = picture.xyxy[:, 2:] - picture.xyxy[:, :2]
    return size[:, 0] * size[:, 1]


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
