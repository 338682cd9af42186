"""What is wrong with each false alarm, and what each kind of mistake costs (TIDE).

Bolya, Foley, Hays, Hoffman: TIDE, A General Toolbox for Identifying Object Detection Errors, ECCV
2020, sections 2.2 and 2.3. As there, the IoU from which a box is found is 0.5, and below 0.1 it
has nothing to do with an object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.evaluation.analysis import Float64, Int64
from detector.evaluation.match import NONE, Matches, iou
from detector.evaluation.precision_recall import average_precision
from detector.evaluation.table import Bool, Table, spans

FOREGROUND, BACKGROUND = 0.5, 0.1
KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
RIGHT = -1  # the kind of a detection that is none of KINDS
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, NOTHING, MISSED = range(len(KINDS))


@dataclass(frozen=True)
class Errors:
    """kind: (D,) of each detection, an index into KINDS, or RIGHT (ignored ones too). truth: (D,)
    the labelled box it is about, NONE for background. missed: (G,) wanted boxes that nothing found,
    nor would have found but for its class or place.
    """

    kind: Int64
    truth: Int64
    missed: Bool


def find_errors(table: Table, matches: Matches) -> Errors:
    """The mistakes, given the matches at IoU 0.5 (the first row of `matches`)."""
    found, truth = table.found, table.truth
    kind = np.full(len(found.scores), RIGHT, np.int64)
    about = matches.truth[0].copy()
    wrong = np.flatnonzero(~matches.right[0] & ~matches.ignored[0])
    wrong = wrong[np.argsort(found.picture[wrong], kind="stable")]
    starts = np.searchsorted(truth.picture, np.arange(table.pictures + 1))
    wanted = ~truth.ignore
    for picture, start, end in spans(found.picture[wrong]):
        rows = wrong[start:end]
        columns = np.arange(starts[picture], starts[picture + 1])
        columns = columns[wanted[columns]]
        overlap = iou(found.xyxy[rows], truth.xyxy[columns], np.zeros(len(columns), np.bool_))
        same = found.labels[rows][:, None] == truth.labels[columns]
        kind[rows], best = _kinds(overlap, same)
        about[rows] = np.where(kind[rows] == NOTHING, NONE, np.append(columns, NONE)[best])
    near = about[(kind == CLASSIFICATION) | (kind == LOCALISATION)]
    met = np.zeros(len(truth.labels), np.bool_)
    met[about[matches.right[0]]] = True
    met[near] = True
    return Errors(kind, about, wanted & ~met)


def _kinds(overlap: Float64, same: Bool) -> tuple[Int64, Int64]:
    """Kind of each false alarm (D,) and the column of the box it is about.

    overlap: (D, G) with all wanted boxes of the picture; same: (D, G) whether of its class. Where
    several kinds fit, the first of: localisation, classification, duplicate, background, both.
    """
    padded = np.pad(overlap, ((0, 0), (0, 1)))  # a column for pictures without boxes
    own = np.where(np.pad(same, ((0, 0), (0, 1))), padded, 0.0)
    other = np.where(np.pad(~same, ((0, 0), (0, 1))), padded, 0.0)
    best_own, best_other = own.max(axis=1), other.max(axis=1)
    tests = [
        ((best_own >= BACKGROUND) & (best_own < FOREGROUND), LOCALISATION, own),
        (best_other >= FOREGROUND, CLASSIFICATION, other),
        (best_own >= FOREGROUND, DUPLICATE, own),
        (best_other < BACKGROUND, NOTHING, other),
        (np.ones(len(padded), np.bool_), BOTH, other),
    ]
    fits = [test for test, _, _ in tests]
    kind = np.select(fits, [np.full(len(padded), code) for _, code, _ in tests])
    column = np.select(fits, [values.argmax(axis=1) for _, _, values in tests])
    return kind.astype(np.int64), column.astype(np.int64)


def costs(table: Table, matches: Matches, errors: Errors) -> dict[str, float]:
    """By how many points AP50 would rise if a kind of mistake were never made, in percent.

    Classification and localisation are put right, unless the box was found already: then the
    detection of lower score goes. False alarms of the other kinds go. A missed box is no longer
    wanted. nan where there was nothing to find.
    """
    right, kept = matches.right[0], ~matches.ignored[0]
    wanted = np.bincount(table.truth.labels[~table.truth.ignore], minlength=table.classes).astype(
        np.int64
    )
    labels = table.found.labels
    base = _ap50(right, kept, labels, wanted)
    fixed = {}
    for code, name in enumerate(KINDS):
        wrong = errors.kind == code
        if code == MISSED:
            missed = np.bincount(table.truth.labels[errors.missed], minlength=table.classes)
            fixed[name] = _ap50(right, kept, labels, wanted - missed)
        elif code in (CLASSIFICATION, LOCALISATION):
            fixed[name] = _ap50(*_corrected(table, right, kept, wrong, errors.truth), wanted)
        else:
            fixed[name] = _ap50(right, kept & ~wrong, labels, wanted)
    return {name: value - base for name, value in fixed.items()}


def _corrected(
    table: Table, right: Bool, kept: Bool, wrong: Bool, about: Int64
) -> tuple[Bool, Bool, Int64]:
    """right, kept and labels when the `wrong` detections find the boxes they are about."""
    hit = right | wrong
    rows = np.flatnonzero(hit)  # by falling score, so the first of a box is the one that stays
    first = rows[np.unique(about[rows], return_index=True)[1]]
    best = np.zeros(len(hit), np.bool_)
    best[first] = True
    labels = table.found.labels.copy()
    labels[wrong] = table.truth.labels[about[wrong]]
    return best, kept & (best | ~hit), labels


def _ap50(right: Bool, kept: Bool, labels: Int64, wanted: Int64) -> float:
    """Mean AP at IoU 0.5 over the classes with something to find, in percent."""
    values = [
        average_precision(right[kept & (labels == k)], int(wanted[k]))
        for k in np.flatnonzero(wanted > 0)
    ]
    return float(np.mean(values)) * 100 if values else float("nan")
