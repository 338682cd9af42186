"""COCO's twelve figures, by a library of them."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.evaluation.analysis import Float64, Int64, Picture
from detector.evaluation.table import (
    Found,
    Table,
    Truth,
    as_xywh,
    counted_by_coco,
    tabulate,
)

FIGURES = (
    *("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
    *("AR 1", "AR 10", "AR 100", "AR small", "AR medium", "AR large"),
)
BOXES_AT_ONCE = 100_000  # the libraries keep each box as a dict, about 2 kB


@dataclass(frozen=True)
class CocoArrays:
    """What COCOeval accumulates, each in 0..1, or -1 where nothing was to be found.

    precision: (T, R, K, A) at 10 IoUs 0.5 .. 0.95, 101 recalls, K classes, and boxes of any size,
    small, medium, large. recall: (T, K, A, M), the last for at most 1, 10, 100 detections a
    picture and class.
    """

    precision: Float64
    recall: Float64


def coco_arrays(table: Table, library: str = "") -> CocoArrays:
    """COCO's figures of a table, of which the `MOST` best detections of a class in a picture count.

    Some classes are evaluated at a time: they do not touch each other, and memory stays bounded.

    library: "faster_coco_eval" or "pycocotools", by default the first of these there is.
    """
    table = counted_by_coco(table)
    counts = _counts(table.found.labels, table.classes) + _counts(table.truth.labels, table.classes)
    group = np.cumsum(counts) // BOXES_AT_ONCE
    parts = [
        _evaluate(table, np.flatnonzero(group == number), library) for number in np.unique(group)
    ]
    precision, recall = zip(*parts, strict=True)
    return CocoArrays(np.concatenate(precision, axis=2), np.concatenate(recall, axis=1))


def coco_figures(arrays: CocoArrays) -> dict[str, float]:
    """`FIGURES` in percent; nan where nothing was to be found."""
    p, r = arrays.precision, arrays.recall
    values = [p[..., 0], p[0, ..., 0], p[5, ..., 0], *(p[..., size] for size in (1, 2, 3))]
    values += [*(r[..., 0, most] for most in range(3)), *(r[..., size, 2] for size in (1, 2, 3))]
    return {name: percent(v) for name, v in zip(FIGURES, values, strict=True)}


def measure_pictures(pictures: Sequence[Picture], classes: int) -> dict[str, float]:
    """`FIGURES` of pictures whose labels are 0..classes-1."""
    return coco_figures(coco_arrays(tabulate(pictures, classes)))


def percent(values: Float64) -> float:
    """The mean of those that are not -1, times 100; nan where all are."""
    known = values[values > -1]
    return float(known.mean()) * 100 if known.size else float("nan")


def _counts(labels: Int64, classes: int) -> Int64:
    return np.bincount(labels, minlength=classes).astype(np.int64)


def _evaluate(table: Table, labels: Int64, library: str) -> tuple[Float64, Float64]:
    """precision and recall of `CocoArrays` for these labels."""
    coco, evaluator = _load(library)
    truth, found = table.truth, table.found
    g, d = np.isin(truth.labels, labels), np.isin(found.labels, labels)
    pictures = np.union1d(truth.picture[g], found.picture[d])
    images = [{"id": number} for number in pictures.tolist()]
    categories = [{"id": label, "name": str(label)} for label in labels.tolist()]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        sets = []
        for annotations in (_truth_rows(truth, g), _found_rows(found, d)):
            one = coco()
            one.dataset = {"images": images, "annotations": annotations, "categories": categories}
            one.createIndex()
            sets.append(one)
        evaluation = evaluator(*sets, "bbox")
        if not images:  # the libraries need at least one
            evaluation.params.imgIds = [0]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = (np.asarray(evaluation.eval[key]) for key in ("precision", "recall"))
    return precision[..., -1], recall


def _load(library: str) -> tuple[Any, Any]:
    """COCO and COCOeval of a library."""
    if library != "pycocotools":
        try:
            faster = importlib.import_module("faster_coco_eval")
            return faster.COCO, faster.COCOeval_faster
        except ModuleNotFoundError:
            if library:
                raise
    modules = (importlib.import_module(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    return next(modules).COCO, next(modules).COCOeval


def _truth_rows(truth: Truth, rows: Any) -> list[dict[str, object]]:
    ignore = truth.ignore[rows].tolist()
    boxes = _boxes(truth.picture[rows], truth.labels[rows], truth.xyxy[rows], truth.area[rows])
    return [
        {**box, "iscrowd": int(i), "ignore": int(i)} for box, i in zip(boxes, ignore, strict=True)
    ]


def _found_rows(found: Found, rows: Any) -> list[dict[str, object]]:
    xyxy, scores = found.xyxy[rows], found.scores[rows].tolist()
    area = as_xywh(xyxy)[:, 2:].prod(axis=1)
    boxes = _boxes(found.picture[rows], found.labels[rows], xyxy, area)
    return [{**box, "iscrowd": 0, "score": s} for box, s in zip(boxes, scores, strict=True)]


def _boxes(picture: Int64, labels: Int64, xyxy: Float64, area: Float64) -> list[dict[str, object]]:
    """What truth and results share; ids from 1, as 0 means none to the libraries."""
    columns = (picture.tolist(), labels.tolist(), as_xywh(xyxy).tolist(), area.tolist())
    return [
        {"id": n, "image_id": p, "category_id": k, "bbox": box, "area": a}
        for n, (p, k, box, a) in enumerate(zip(*columns, strict=True), start=1)
    ]
