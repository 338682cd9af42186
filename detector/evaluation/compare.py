"""Whether one detector is better than another, or only luckier with these pictures.

A paired bootstrap over pictures (Efron and Tibshirani, An Introduction to the Bootstrap, 1993):
pictures are drawn anew with replacement, the same ones for both, and AP is computed each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.errors import DetectorError
from detector.evaluation.analysis import Float64, Int64, Picture
from detector.evaluation.match import COCO_IOUS, match
from detector.evaluation.precision_recall import interpolated_mean
from detector.evaluation.table import counted_by_coco, tabulate

DRAWS = 1000
SURE = 95  # percent of the draws inside the interval
ENOUGH = 10  # pictures: drawn from one, all draws are the same, and none tells of others
AT_ONCE = 4_000_000  # numbers in an array, so that memory stays bounded


@dataclass(frozen=True)
class ClassHits:
    """One class, for AP under any weights of the pictures.

    picture: (D,) of each detection, best score first. hits: for each IoU the rows (H,) that are
    right. ignored: for each IoU the rows that do not count. wanted: (P,) boxes in each picture.
    """

    picture: Int64
    hits: list[Int64]
    ignored: list[Int64]
    wanted: Int64


@dataclass(frozen=True)
class Difference:
    """How much higher a figure of B is than of A, in points, and the interval of `SURE` percent.

    pictures: how many have boxes that the figure is about.
    """

    a: float
    b: float
    low: float
    high: float
    pictures: int

    @property
    def enough(self) -> bool:
        """Whether there are pictures enough for draws from them to tell anything of others."""
        return self.pictures >= ENOUGH

    @property
    def sure(self) -> bool:
        """Whether there are enough and the interval leaves zero out."""
        return self.enough and (self.low > 0 or self.high < 0)


def compare(
    a: Sequence[Picture],
    b: Sequence[Picture],
    class_names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Difference]:
    """AP, AP50 and the AP of each class, of two results on the same pictures in the same order.

    Raises DetectorError when there are no pictures, or the pictures are not the same. Figures are
    nan for a class without boxes.
    """
    if len(a) != len(b) or any(_differ(*pair) for pair in zip(a, b, strict=True)):
        raise DetectorError(
            "--compare: the two were not measured on the same labelled pictures "
            f"({len(a)} and {len(b)}); evaluate both with the same --data and --split"
        )
    if not a:
        raise DetectorError("--compare: there are no pictures in either; evaluate some first")
    weights = np.ones((draws + 1, len(a)), np.int64)  # the first row: every picture once
    even = np.full(len(a), 1 / len(a))
    weights[1:] = np.random.default_rng(seed).multinomial(len(a), even, draws)
    names = ["AP", "AP50", *(f"AP {name}" for name in class_names)]
    hits = class_hits(a, len(class_names)), class_hits(b, len(class_names))
    first, second = (_figures(classes, weights) for classes in hits)
    having = np.stack([one.wanted > 0 for one in hits[0]])
    counts = [*[int(having.any(axis=0).sum())] * 2, *having.sum(axis=1).tolist()]
    return {name: _difference(first[:, i], second[:, i], counts[i]) for i, name in enumerate(names)}


def _differ(one: Picture, other: Picture) -> bool:
    """Whether the truth of two pictures is not the same."""
    return (
        one.path.name != other.path.name
        or one.labels.tolist() != other.labels.tolist()
        or one.ignore.tolist() != other.ignore.tolist()
        or not np.allclose(one.xyxy, other.xyxy, atol=0.01)
    )


def class_hits(pictures: Sequence[Picture], classes: int) -> list[ClassHits]:
    """Match once; what is left for each draw are sums."""
    table = counted_by_coco(tabulate(pictures, classes))
    matches = match(table, COCO_IOUS)
    wanted = ~table.truth.ignore
    result = []
    for label in range(classes):
        rows = np.flatnonzero(table.found.labels == label)
        mine = wanted & (table.truth.labels == label)
        result.append(
            ClassHits(
                table.found.picture[rows],
                [np.flatnonzero(right) for right in matches.right[:, rows]],
                [np.flatnonzero(ignored) for ignored in matches.ignored[:, rows]],
                np.bincount(table.truth.picture[mine], minlength=len(pictures)).astype(np.int64),
            )
        )
    return result


def weighted_ap(one: ClassHits, weights: Int64) -> Float64:
    """(W, T) COCO's AP in 0..1 when pictures count `weights` (W, P) times each; nan for no boxes.

    Precision matters only at the detections that are right: at the others it falls.
    """
    step = max(1, AT_ONCE // max(1, len(one.picture)))
    parts = [_weighted(one, weights[i : i + step]) for i in range(0, len(weights), step)]
    return np.concatenate(parts)


def _weighted(one: ClassHits, weights: Int64) -> Float64:
    truths = weights @ one.wanted
    each = weights[:, one.picture]  # (W, D)
    counted = np.cumsum(each, axis=1)
    result = np.empty((len(weights), len(one.hits)))
    for t, (rows, ignored) in enumerate(zip(one.hits, one.ignored, strict=True)):
        hits = np.cumsum(each[:, rows], axis=1)
        above = counted[:, rows]
        if len(ignored):
            skipped = np.pad(np.cumsum(each[:, ignored], axis=1), ((0, 0), (1, 0)))
            above = above - skipped[:, np.searchsorted(ignored, rows)]
        recall = hits / np.maximum(truths, 1)[:, None]
        result[:, t] = interpolated_mean(recall, hits / np.maximum(above, 1))
    result[truths == 0] = np.nan
    return result


def _figures(classes: list[ClassHits], weights: Int64) -> Float64:
    """(W, 2 + K) percent: AP, AP50, AP of each class."""
    each = np.stack([weighted_ap(one, weights) for one in classes], axis=1)  # (W, K, T)
    some = ~np.isnan(each[..., 0])
    count = np.maximum(some.sum(axis=1), 1)
    sums = np.nansum(each, axis=1)
    means = np.stack([sums.mean(axis=1) / count, sums[:, 0] / count], axis=1)
    means[~some.any(axis=1)] = np.nan
    return np.concatenate([means, each.mean(axis=2)], axis=1) * 100


def _difference(a: Float64, b: Float64, pictures: int) -> Difference:
    """From the figures of all draws, the first of which has every picture once."""
    gains = (b - a)[1:]
    gains = gains[~np.isnan(gains)]
    tail = (100 - SURE) / 2
    low, high = np.percentile(gains, [tail, 100 - tail]) if len(gains) else (np.nan, np.nan)
    return Difference(float(a[0]), float(b[0]), float(low), float(high), pictures)
