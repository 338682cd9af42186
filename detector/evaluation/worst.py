"""The pictures with the gravest mistakes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from detector.evaluation.analysis import Mistake, Picture, WorstPicture
from detector.evaluation.errors import KINDS, MISSED, RIGHT, Errors
from detector.evaluation.match import NONE
from detector.evaluation.table import Table

MISSED_COST = 0.5  # as grave as a false alarm that is half sure


def worst_pictures(
    pictures: Sequence[Picture], table: Table, errors: Errors, names: Sequence[str], most: int
) -> list[WorstPicture]:
    """At most `most` pictures with mistakes, the worst first, each with all of its mistakes.

    A false alarm costs its score, a missed box `MISSED_COST`. table, errors: of the detections
    that a user would be shown.
    """
    found, truth = table.found, table.truth
    wrong = errors.kind != RIGHT
    cost = np.bincount(found.picture[wrong], found.scores[wrong], minlength=len(pictures))
    cost = cost + MISSED_COST * np.bincount(truth.picture[errors.missed], minlength=len(pictures))
    order = np.argsort(-cost, kind="stable")[:most]
    chosen = order[cost[order] > 0]
    mistakes: dict[int, list[Mistake]] = defaultdict(list)
    for row in np.flatnonzero(wrong & np.isin(found.picture, chosen)):
        about = errors.truth[row]
        true_name = "" if about == NONE else names[truth.labels[about]]
        kind, name = KINDS[errors.kind[row]], names[found.labels[row]]
        box = found.xyxy[row].astype(np.float32)
        mistake = Mistake(kind, box, float(found.scores[row]), name, true_name)
        mistakes[found.picture[row]].append(mistake)
    for row in np.flatnonzero(errors.missed & np.isin(truth.picture, chosen)):
        name, box = names[truth.labels[row]], truth.xyxy[row].astype(np.float32)
        mistakes[truth.picture[row]].append(Mistake(KINDS[MISSED], box, np.nan, name, name))
    return [
        WorstPicture(pictures[i], sorted(mistakes[i], key=_gravity, reverse=True), float(cost[i]))
        for i in chosen.tolist()
    ]


def _gravity(mistake: Mistake) -> float:
    return MISSED_COST if np.isnan(mistake.score) else mistake.score
