"""Which classes are taken for which: a confusion matrix cut down to what one can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detector.evaluation.analysis import Int64


class MixUp(NamedTuple):
    """How often one class was taken for another; of: how many boxes of it are labelled."""

    truth: str
    found: str
    times: int
    of: int


def most_mixed_up(matrix: Int64, names: Sequence[str], most: int) -> tuple[Int64, tuple[str, ...]]:
    """At most `most` classes of a confusion matrix (K + 1, K + 1), in their order, with its rim.

    Kept are those taken for other classes or others for them most often, then those missed or seen
    where nothing is most often.
    """
    k = len(names)
    if k <= most:
        return matrix, tuple(names)
    wrong = matrix * (1 - np.eye(k + 1, dtype=np.int64))
    among = wrong[:k, :k].sum(axis=0) + wrong[:k, :k].sum(axis=1)
    rim = wrong[:k, k] + wrong[k, :k]
    kept = np.sort(np.lexsort((-rim, -among))[:most])
    rows = np.append(kept, k)
    return matrix[np.ix_(rows, rows)], tuple(names[i] for i in kept)


def mix_ups(matrix: Int64, names: Sequence[str], most: int) -> list[MixUp]:
    """The most frequent pairs of classes in a confusion matrix (K + 1, K + 1), at most `most`."""
    k = len(names)
    wrong = matrix[:k, :k] * (1 - np.eye(k, dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(i), k) for i in order if wrong.flat[i] > 0]
    of = matrix[:k].sum(axis=1)
    return [MixUp(names[t], names[f], int(wrong[t, f]), int(of[t])) for t, f in pairs]
