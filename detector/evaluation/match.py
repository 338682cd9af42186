"""Which detection found which labelled box, as COCO decides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.evaluation.analysis import Float64, Int64
from detector.evaluation.table import Bool, Table, spans

IOU_50: Float64 = np.array([0.5])
COCO_IOUS: Float64 = np.linspace(0.5, 0.95, 10)
NONE = -1


@dataclass(frozen=True)
class Matches:
    """The labelled box of each detection, at each of T IoU thresholds.

    truth: (T, D) an index into the table's truth, or NONE. right, ignored: (T, D), found a wanted
    box, or one to ignore; neither is a false alarm.
    """

    truth: Int64
    right: Bool
    ignored: Bool


def match(table: Table, ious: Float64 = IOU_50) -> Matches:
    """Greedy matching within each class and picture, best score first (pycocotools' evaluateImg).

    A detection takes the free box that it overlaps most, a wanted one before one to ignore. A box
    to ignore may be taken often, and what counts is the share of the detection inside it.
    """
    truth, found = table.truth, table.found
    key_of_truth = truth.picture * table.classes + truth.labels
    key_of_found = found.picture * table.classes + found.labels
    truth_order = np.argsort(key_of_truth, kind="stable")
    found_order = np.argsort(key_of_found, kind="stable")
    sorted_found = key_of_found[found_order]
    taken = np.full((len(ious), len(found_order)), NONE, np.int64)
    for key, start, end in spans(key_of_truth[truth_order]):
        low, high = np.searchsorted(sorted_found, [key, key + 1])
        g, d = truth_order[start:end], found_order[low:high]
        if len(d):
            overlap = iou(found.xyxy[d], truth.xyxy[g], truth.ignore[g])
            chosen = _greedy(overlap, truth.ignore[g], ious)
            taken[:, d] = np.where(chosen == NONE, NONE, g[chosen])
    hit = taken != NONE
    ignored = hit & np.append(truth.ignore, False)[taken]
    return Matches(taken, hit & ~ignored, ignored)


def iou(found: Float64, truth: Float64, ignore: Bool) -> Float64:
    """(D, G) intersection over union of xyxy boxes; over a box's own area for one to ignore."""
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    area = (found[:, 2:] - found[:, :2]).prod(axis=1)[:, None]
    other = (truth[:, 2:] - truth[:, :2]).prod(axis=1)[None]
    union = np.where(ignore, area, area + other - inside)
    return np.asarray(np.divide(inside, union, out=np.zeros_like(inside), where=union > 0))


def _greedy(overlap: Float64, ignore: Bool, ious: Float64) -> Int64:
    """(T, D) the column of `overlap` (D, G) that each row takes, or NONE. Rows best score first."""
    chosen = np.full((len(ious), len(overlap)), NONE, np.int64)
    free = np.ones((len(ious), len(ignore)), np.bool_)
    least = np.minimum(ious, 1 - 1e-10)[:, None]
    rows = np.arange(len(ious))
    for d in np.flatnonzero(overlap.max(axis=1) >= least[0, 0]):
        able = (overlap[d] >= least) & free
        wanted = able & ~ignore
        able = np.where(wanted.any(axis=1, keepdims=True), wanted, able)
        # The last of equals, as pycocotools takes it.
        value = np.where(able, overlap[d], -1.0)[:, ::-1]
        best = len(ignore) - 1 - value.argmax(axis=1)
        hit = able.any(axis=1)
        chosen[hit, d] = best[hit]
        free[rows[hit], best[hit]] = ignore[best[hit]]
    return chosen
