"""What an evaluation knows about a detector: the figures that tables, plots and pages show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.detections import Detections

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Picture:
    """One labelled picture and what was found in it.

    xyxy: (G, 4) float32 pixels, the truth; labels: (G,) int64; ignore: (G,) bool, boxes that are
    neither wanted nor wrong (COCO's crowds, VOC's difficult ones). found: boxes in the same pixels.
    area: (G,) as in `detector.data.example.Example`; None for the boxes' own.
    exact: (D, 5) xyxy and score of `found` as a file had them, before they became float32.
    """

    path: Path
    size_wh: tuple[int, int]
    xyxy: npt.NDArray[np.float32]
    labels: Int64
    ignore: npt.NDArray[np.bool_]
    found: Detections
    area: npt.NDArray[np.float32] | None = None
    exact: Float64 | None = None


@dataclass(frozen=True)
class ClassFigures:
    """How one class is found. AP, AP50 and AR are COCO's, in percent; nan where none was to find.

    best_f1: the highest F1 in 0..1 at IoU 0.5, with the score threshold, precision and recall that
    give it. truths, found: boxes labelled (ignored ones apart), and detections of this class.
    recall, precision, scores: (P,) the curve at IoU 0.5, by falling score. voc: VOC's AP50 by 11
    points and by all, in percent.
    """

    name: str
    ap: float
    ap50: float
    ar: float
    best_f1: float
    best_threshold: float
    best_precision: float
    best_recall: float
    truths: int
    found: int
    recall: Float64
    precision: Float64
    scores: Float64
    voc: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class Mistake:
    """Something wrong in a picture.

    kind: "missed", "background" (nothing there), "classification", "localisation", "both" or
    "duplicate" (TIDE, section 3). score: the detection's, nan for a missed box. box: (4,) xyxy.
    name: the detection's class, or the missed box's. truth: the true class, '' where there is none.
    """

    kind: str
    box: npt.NDArray[np.float32]
    score: float
    name: str
    truth: str


@dataclass(frozen=True)
class WorstPicture:
    """A picture with its mistakes, the gravest first; cost: how grave all of them are together."""

    picture: Picture
    mistakes: list[Mistake]
    cost: float


@dataclass(frozen=True)
class Analysis:
    """All that is known. figures: COCO's twelve, in percent, nan where nothing was to be found.

    confusion: (K + 1, K + 1) counts at IoU 0.5 and `threshold`: rows the truth, columns what was
    found, the last row what was found where nothing is, the last column what was missed.
    reliability: (B, 3) for each bin of scores: mean score, share that is right, count.
    costs: AP50 points that each kind of mistake costs, as TIDE measures it. threshold: the score
    with the best F1 over all classes together. voc: PASCAL VOC's AP50 and AP75, in percent.
    crowded: pictures with more objects of a class than COCO's figures count detections.
    """

    figures: dict[str, float]
    classes: list[ClassFigures]
    threshold: float
    confusion: Int64
    reliability: Float64
    costs: dict[str, float]
    worst: list[WorstPicture]
    pictures: int
    voc: dict[str, float] = field(default_factory=dict)
    crowded: int = 0
