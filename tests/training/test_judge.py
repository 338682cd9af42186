"""How good the network is, on pictures where one knows."""

import json
from pathlib import Path

import numpy as np
import pytest

from detector.data.example import Example
from detector.data.load import load_splits
from detector.detections import Detections
from detector.training.judge import Judge, coco_truth, thinned


def test_the_judge_gives_full_marks_for_the_truth(shapes, tmp_path):
    val = load_splits(shapes)["val"]
    judge = Judge(val.examples, val.class_names, 96, tmp_path / "val.json")
    perfect = [
        Detections(e.xyxy / 96, np.ones(len(e.labels), np.float32), e.labels, val.class_names)
        for e in val.examples
    ]
    assert judge(perfect)["AP"] == pytest.approx(100)
    nothing = [Detections(d.xyxy[:0], d.scores[:0], d.labels[:0], val.class_names) for d in perfect]
    assert judge(nothing)["AP"] == 0
    assert judge.images.shape == (4, 3, 96, 96)


def test_truth_is_clipped_and_crowds_are_marked():
    boxes = np.array([[-5, 2, 30, 40], [50, 50, 50, 60], [0, 0, 10, 10]], np.float32)
    ignore = np.array([False, False, True])
    example = Example(Path("a.jpg"), boxes, np.array([0, 0, 0]), ignore, None, "")
    truth = coco_truth([example], [(20, 30)], ["cat"])
    assert [a["bbox"] for a in truth["annotations"]] == [[0, 2, 20, 28], [0, 0, 10, 10]]
    assert [a["iscrowd"] for a in truth["annotations"]] == [0, 1]
    assert json.dumps(truth)


def test_thinning_keeps_an_even_spread():
    assert thinned(list(range(5)), 9) == list(range(5))
    assert thinned(list(range(100)), 3) == [0, 49, 99]
