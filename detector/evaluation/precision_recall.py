"""Precision, recall and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.evaluation.analysis import Float64
from detector.evaluation.table import Bool

RECALLS: Float64 = np.linspace(0, 1, 101)
BINS = 10


@dataclass(frozen=True)
class Curve:
    """(P,) each, in 0..1, by falling score: at `scores[i]` and above, this recall and precision."""

    recall: Float64
    precision: Float64
    scores: Float64


@dataclass(frozen=True)
class BestF1:
    """The highest F1 of a curve, and where it is; all 0 for a curve that never finds anything."""

    f1: float
    threshold: float
    precision: float
    recall: float


def curve(right: Bool, scores: Float64, truths: int) -> Curve:
    """right: (D,) whether each found a wanted box, best score first; truths: how many there are."""
    hits = np.cumsum(right)
    return Curve(hits / max(truths, 1), hits / np.arange(1, len(right) + 1), scores)


def best_f1(of: Curve) -> BestF1:
    """Where 2PR / (P + R) is highest; equal scores are all taken or all left."""
    total = of.precision + of.recall
    f1 = 2 * of.precision * of.recall / np.where(total > 0, total, 1)
    f1[:-1][of.scores[:-1] == of.scores[1:]] = 0
    if not f1.any():
        return BestF1(0.0, 0.0, 0.0, 0.0)
    best = int(f1.argmax())
    values = (f1, of.scores, of.precision, of.recall)
    return BestF1(*(float(value[best]) for value in values))


def average_precision(right: Bool, truths: int) -> float:
    """COCO's, in 0..1: precision at 101 recalls, each the best at that recall or a higher one.

    right: (D,) best score first. nan where nothing was to be found.
    """
    if truths == 0:
        return float("nan")
    hits = np.cumsum(right)
    return float(interpolated_mean(hits / truths, hits / np.arange(1, len(right) + 1)))


def interpolated_mean(recall: Float64, precision: Float64) -> Float64:
    """(...) the mean over `RECALLS` of the best precision there or beyond, 0 where there is none.

    recall, precision: (..., P) along curves, recall never falling.
    """
    best = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    reached = np.searchsorted(RECALLS, recall, side="right")
    return np.asarray((np.diff(reached, prepend=0, axis=-1) * best).sum(axis=-1) / len(RECALLS))


def reliability(right: Bool, scores: Float64) -> Float64:
    """(BINS, 3): mean score, share that is right, count of the detections in each tenth of 0..1.

    nan in the first two where there is none.
    """
    bins = np.clip((scores * BINS).astype(np.int64), 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS).astype(np.float64)
    sums = [np.bincount(bins, values, BINS) for values in (scores, right.astype(np.float64))]
    means = [np.divide(s, count, out=np.full(BINS, np.nan), where=count > 0) for s in sums]
    return np.stack([*means, count], axis=1)
