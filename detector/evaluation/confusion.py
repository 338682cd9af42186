"""Which class is taken for which."""

from __future__ import annotations

import numpy as np

from detector.evaluation.analysis import Int64
from detector.evaluation.errors import CLASSIFICATION, Errors
from detector.evaluation.match import Matches
from detector.evaluation.table import Table


def confusion(table: Table, matches: Matches, errors: Errors, threshold: float) -> Int64:
    """(K + 1, K + 1) counts at IoU 0.5 of detections with scores of at least `threshold`.

    Rows: the true class, the last for nothing there. Columns: what was found, the last for missed.
    Each labelled box counts once: as found; else as the class of the best false alarm on it; else
    as missed. Other false alarms stand in the last row. Boxes to ignore do not count.
    """
    k = table.classes
    counts = np.zeros((k + 1, k + 1), np.int64)
    shown = table.found.scores >= threshold
    right = matches.right[0] & shown
    labels = table.found.labels
    np.add.at(counts, (labels[right], labels[right]), 1)
    left = ~table.truth.ignore
    left[matches.truth[0][right]] = False
    swapped = np.flatnonzero((errors.kind == CLASSIFICATION) & shown)
    swapped = swapped[left[errors.truth[swapped]]]
    swapped = swapped[np.unique(errors.truth[swapped], return_index=True)[1]]
    np.add.at(counts, (table.truth.labels[errors.truth[swapped]], labels[swapped]), 1)
    left[errors.truth[swapped]] = False
    other = shown & ~matches.right[0] & ~matches.ignored[0]
    other[swapped] = False
    np.add.at(counts, (np.full(int(other.sum()), k), labels[other]), 1)
    np.add.at(counts, (table.truth.labels[left], np.full(int(left.sum()), k)), 1)
    return counts
