"""PASCAL VOC's average precision, in both of its forms.

Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010, section 4.2: until
2009 the mean of precisions at 11 recalls, since then the area under the whole curve.
"""

from __future__ import annotations

import numpy as np

from detector.evaluation.analysis import Float64
from detector.evaluation.match import NONE, iou
from detector.evaluation.table import Bool, Table, spans

FORMS = ("11 points", "all points")
FIGURES = tuple(f"VOC {ap}, {form}" for ap in ("AP50", "AP75") for form in FORMS)


def voc_figures(at_50: Float64, at_75: Float64) -> dict[str, float]:
    """`FIGURES` in percent: the mean over classes with something to find; nan where none has.

    at_50, at_75: what `voc_ap` gives at IoU 0.5 and 0.75.
    """
    values = np.concatenate([at_50, at_75], axis=1)
    known = values[~np.isnan(values[:, 0])]
    means = known.mean(axis=0) * 100 if len(known) else np.full(len(FIGURES), np.nan)
    return dict(zip(FIGURES, means.tolist(), strict=True))


def voc_ap(table: Table, least_iou: float = 0.5) -> Float64:
    """(K, 2) AP of each class in 0..1, by 11 points and by all; nan where nothing was to be found.

    A detection means the box of its class that it overlaps most, free or not (COCO instead looks
    for a free one), so the second on a box is a false alarm. Difficult boxes are those to ignore:
    a detection of one counts neither way.
    """
    right, counted = _judge(table, least_iou)
    result = np.full((table.classes, 2), np.nan)
    for label in range(table.classes):
        truths = int((~table.truth.ignore[table.truth.labels == label]).sum())
        if truths:
            hits = np.cumsum(right[counted & (table.found.labels == label)])
            recall, precision = hits / truths, hits / np.arange(1, len(hits) + 1)
            result[label] = eleven_points(recall, precision), all_points(recall, precision)
    return result


def eleven_points(recall: Float64, precision: Float64) -> float:
    """The mean over recalls 0, 0.1, .. 1 of the best precision at that recall or a higher one."""
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # In steps of a tenth, as 3 / 10 is what a recall of three in ten gives; linspace may differ.
    return float(np.mean(best[np.searchsorted(recall, np.arange(11) / 10, side="left")]))


def all_points(recall: Float64, precision: Float64) -> float:
    """The area under precision, made to fall, over recall."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _judge(table: Table, least_iou: float) -> tuple[Bool, Bool]:
    """(D,) whether each detection is right, and whether it counts."""
    truth, found = table.truth, table.found
    key = truth.picture * table.classes + truth.labels
    truth_order = np.argsort(key, kind="stable")
    found_key = found.picture * table.classes + found.labels
    found_order = np.argsort(found_key, kind="stable")
    sorted_found = found_key[found_order]
    about = np.full(len(found_key), NONE, np.int64)
    for value, start, end in spans(key[truth_order]):
        low, high = np.searchsorted(sorted_found, [value, value + 1])
        g, d = truth_order[start:end], found_order[low:high]
        overlap = iou(found.xyxy[d], truth.xyxy[g], np.zeros(len(g), np.bool_))
        about[d] = np.where(overlap.max(axis=1) >= least_iou, g[overlap.argmax(axis=1)], NONE)
    hit = about != NONE
    counted = ~np.append(truth.ignore, False)[about]
    first = np.zeros(len(about), np.bool_)
    rows = np.flatnonzero(hit)
    first[rows[np.unique(about[rows], return_index=True)[1]]] = True
    return first & counted, counted
