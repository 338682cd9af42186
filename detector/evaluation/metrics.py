"""An analysis as plain values for metrics.json."""

from __future__ import annotations

import math

from detector.evaluation.analysis import Analysis, ClassFigures
from detector.evaluation.voc import FIGURES as VOC_FIGURES


def as_metrics(analysis: Analysis) -> dict[str, object]:
    """All figures of an analysis but its curves and pictures; nan as None.

    COCO's and VOC's figures by their names, then `threshold` (the score with the best F1),
    `mistakes` (AP50 points that each kind costs) and `classes` (a list: names may repeat).
    """
    return {
        **{name: _rounded(value) for name, value in analysis.figures.items()},
        **{name: _rounded(value) for name, value in analysis.voc.items()},
        "threshold": _rounded(analysis.threshold),
        "mistakes": {kind: _rounded(cost) for kind, cost in analysis.costs.items()},
        "classes": [_class_metrics(one) for one in analysis.classes],
    }


def _class_metrics(one: ClassFigures) -> dict[str, object]:
    figures = {
        "AP": one.ap,
        "AP50": one.ap50,
        "AR": one.ar,
        "F1": one.best_f1,
        "threshold": one.best_threshold,
        "precision": one.best_precision,
        "recall": one.best_recall,
        **dict(zip(VOC_FIGURES[:2], one.voc, strict=True)),
    }
    return {
        "name": one.name,
        **{name: _rounded(value) for name, value in figures.items()},
        "labelled": one.truths,
        "found": one.found,
    }


def _rounded(value: float) -> float | None:
    """Six digits, for JSON: it has no nan. Percentages can so be checked to 1e-8."""
    return round(float(value), 6) if math.isfinite(value) else None
