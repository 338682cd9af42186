"""All that an evaluation knows, from the labelled pictures and what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detector.evaluation.analysis import Analysis, ClassFigures, Float64, Picture
from detector.evaluation.coco import CocoArrays, coco_arrays, coco_figures, percent
from detector.evaluation.confusion import confusion
from detector.evaluation.errors import costs, find_errors
from detector.evaluation.match import Matches, match
from detector.evaluation.precision_recall import best_f1, curve, reliability
from detector.evaluation.table import Table, crowded, only, tabulate
from detector.evaluation.voc import voc_ap, voc_figures
from detector.evaluation.worst import worst_pictures


def analyse(
    pictures: Sequence[Picture], class_names: Sequence[str], *, worst: int = 24
) -> Analysis:
    """Analyse detections of any score (0.001 and above, say) on labelled pictures.

    COCO's figures count the 100 best of a class in a picture, all others every detection: of 300
    cells that were found none is missed.

    class_names: by label, for the truth and the detections alike. worst: how many of the worst
    pictures to keep.
    """
    table = tabulate(pictures, len(class_names))
    matches = match(table)
    arrays = coco_arrays(table)
    counted = ~matches.ignored[0]
    right, scores = matches.right[0][counted], table.found.scores[counted]
    threshold = best_f1(curve(right, scores, int((~table.truth.ignore).sum()))).threshold
    errors = find_errors(table, matches)
    shown = only(table, table.found.scores >= threshold)
    voc = voc_ap(table, 0.5)
    return Analysis(
        figures=coco_figures(arrays),
        classes=[
            replace(_class_figures(label, name, table, matches, arrays), voc=_pair(voc[label]))
            for label, name in enumerate(class_names)
        ],
        threshold=threshold,
        confusion=confusion(table, matches, errors, threshold),
        reliability=reliability(right, scores),
        costs=costs(table, matches, errors),
        worst=worst_pictures(pictures, shown, find_errors(shown, match(shown)), class_names, worst),
        pictures=len(pictures),
        voc=voc_figures(voc, voc_ap(table, 0.75)),
        crowded=crowded(table),
    )


def _pair(shares: Float64) -> tuple[float, float]:
    return float(shares[0]) * 100, float(shares[1]) * 100


def _class_figures(
    label: int, name: str, table: Table, matches: Matches, arrays: CocoArrays
) -> ClassFigures:
    rows = table.found.labels == label
    counted = rows & ~matches.ignored[0]
    truths = int((~table.truth.ignore[table.truth.labels == label]).sum())
    of = curve(matches.right[0][counted], table.found.scores[counted], truths)
    best = best_f1(of)
    precision = arrays.precision[:, :, label, 0]
    return ClassFigures(
        name=name,
        ap=percent(precision),
        ap50=percent(precision[0]),
        ar=percent(arrays.recall[:, label, 0, -1]),
        best_f1=best.f1 if truths else np.nan,
        best_threshold=best.threshold,
        best_precision=best.precision,
        best_recall=best.recall,
        truths=truths,
        found=int(rows.sum()),
        recall=of.recall,
        precision=of.precision,
        scores=of.scores,
    )
