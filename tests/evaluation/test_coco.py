"""COCO's figures: equal to pycocotools, the corner cases, and what the embedded models reach."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detector.classes import COCO_CATEGORY_IDS
from detector.data.load import load_judged
from detector.evaluation import coco
from detector.evaluation.coco import FIGURES, coco_arrays, coco_figures, measure_pictures
from detector.evaluation.run import SCORE, detect_pictures
from detector.evaluation.table import tabulate
from detector.predictor import Detector

SHARED = Path(__file__).parents[2].parent / "shared"
VAL = SHARED / "data" / "coco-val-128"
CAT = [10, 20, 110, 120]


def both_libraries(pictures, classes):
    return [coco_arrays(tabulate(pictures, classes), lib) for lib in ("", "pycocotools")]


def test_figures_are_pycocotools_own_on_real_pictures(coco_val):
    pictures, names = coco_val
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(VAL / "instances.json")
        found = truth.loadRes(str(SHARED / "reference" / "coco_val_128_detections.json"))
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = measure_pictures(pictures, len(names))
    assert tuple(figures) == FIGURES
    assert list(figures.values()) == pytest.approx((evaluation.stats * 100).tolist(), abs=1e-6)
    assert round(figures["AP"], 1) == 37.6


def test_the_libraries_agree_on_voc(voc_100):
    ours, theirs = both_libraries(voc_100, 20)
    assert ours.precision == pytest.approx(theirs.precision, abs=1e-9)
    assert ours.recall == pytest.approx(theirs.recall, abs=1e-9)
    assert coco_figures(ours)["AP50"] > 50


@pytest.mark.parametrize("seed", range(12))
def test_the_libraries_agree_with_crowds_and_ties(random_pictures, seed):
    ours, theirs = both_libraries(random_pictures(seed), 3)
    assert ours.precision == pytest.approx(theirs.precision, abs=1e-9)
    assert ours.recall == pytest.approx(theirs.recall, abs=1e-9)


def test_classes_apart_are_classes_together(random_pictures, monkeypatch):
    table = tabulate(random_pictures(1), 3)
    together = coco_arrays(table)
    monkeypatch.setattr(coco, "BOXES_AT_ONCE", 5)
    apart = coco_arrays(table)
    assert np.array_equal(together.precision, apart.precision)
    assert np.array_equal(together.recall, apart.recall)
    assert (together.precision > 0).any()


def test_without_the_fast_library_pycocotools_does_it(random_pictures, monkeypatch):
    fast = measure_pictures(random_pictures(2), 3)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    assert measure_pictures(random_pictures(2), 3) == pytest.approx(fast, abs=1e-9, nan_ok=True)


def test_everything_found_is_100(picture):
    figures = measure_pictures([picture([(0, CAT)], [(0, 0.9, CAT)])], 3)
    assert figures["AP"] == pytest.approx(100)
    assert figures["AR 1"] == pytest.approx(100)
    assert math.isnan(figures["AP small"])  # nothing small to find is not zero


def test_a_loose_box_counts_at_50_and_not_at_75(picture):
    figures = measure_pictures([picture([(0, CAT)], [(0, 0.9, [10, 20, 110, 85])])], 3)
    assert (figures["AP50"], figures["AP75"]) == (pytest.approx(100), 0)  # IoU 0.65


def test_no_detections_are_0_and_no_truth_is_nan(picture):
    assert measure_pictures([picture([(0, CAT)])], 3)["AP"] == 0
    assert math.isnan(measure_pictures([picture([], [(0, 0.9, CAT)])], 3)["AP"])
    assert math.isnan(measure_pictures([picture()], 3)["AP"])


def test_size_is_the_outlines_area_where_it_is_known(picture):

    one = picture([(0, CAT)], [(0, 0.9, CAT)])
    outlined = replace(one, area=np.array([500.0], np.float32))
    assert math.isnan(measure_pictures([one], 3)["AP small"])
    assert measure_pictures([outlined], 3)["AP small"] == pytest.approx(100)


@pytest.mark.skipif(not VAL.is_dir(), reason="../shared/data/coco-val-128 is absent")
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("precision", "least"), [("float", 37.5), ("int8", 37.2)])
def test_the_embedded_models_are_as_good_as_promised(engine, precision, least):
    data = load_judged(VAL).dataset
    detector = Detector(engine=engine, precision=precision, score=SCORE)
    run = detect_pictures(detector, data.examples, data.class_names)
    assert len(run.pictures) == 128
    assert measure_pictures(run.pictures, 80)["AP"] >= least


@pytest.mark.skipif(not VAL.is_dir(), reason="../shared/data/coco-val-128 is absent")
def test_category_ids_are_the_val_sets():

    truth = json.loads((VAL / "instances.json").read_text())
    assert tuple(c["id"] for c in truth["categories"]) == COCO_CATEGORY_IDS
