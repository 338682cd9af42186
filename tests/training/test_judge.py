"""How good the network is, on pictures where one knows."""

from dataclasses import replace

import numpy as np
import pytest

from detector.data.load import load_splits
from detector.detections import Detections
from detector.errors import DetectorError
from detector.training.judge import Judge


def test_the_judge_gives_full_marks_for_the_truth(shapes):
    val = load_splits(shapes)["val"]
    judge = Judge(val.examples, val.class_names, 96)
    perfect = [
        Detections(e.xyxy / 96, np.ones(len(e.labels), np.float32), e.labels, val.class_names)
        for e in val.examples
    ]
    assert judge(perfect)["AP"] == pytest.approx(100)
    nothing = [Detections(d.xyxy[:0], d.scores[:0], d.labels[:0], val.class_names) for d in perfect]
    assert judge(nothing)["AP"] == 0
    assert judge.images.shape == (4, 3, 96, 96)


def test_no_readable_picture_is_one_line(shapes, tmp_path):
    val = load_splits(shapes)["val"]
    gone = [replace(e, path=tmp_path / e.path.name) for e in val.examples]
    with pytest.raises(
        DetectorError, match=r"none of 4 val pictures can be read; the first: .*val0"
    ):
        Judge(gone, val.class_names, 96)
