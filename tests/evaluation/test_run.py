"""From examples to pictures: labels by name, truth clipped, unreadable pictures counted."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.data.example import Example
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.run import ahead, detect_pictures, labelled
from detector.predictor import Timing


class Sees:
    """Finds a bird and a cat in every frame, and the frame's first pixel in its scores."""

    class_names = ("bird", "unicorn", "cat")

    def detect_timed(self, frame_bgr):
        boxes = np.array([[0, 0, 10, 10], [5, 5, 20, 20], [1, 1, 2, 2]], np.float32)
        scores = np.array([0.9, 0.8, frame_bgr[0, 0, 0] / 255], np.float32)
        return Detections(boxes, scores, np.array([0, 2, 1]), self.class_names), Timing(1, 2, 3)


def example(path, boxes=((2, 3, 30, 20),), ignore=(False,)):
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Example(Path(path), xyxy, np.zeros(len(xyxy), np.int64), np.array(ignore), None, "")


@pytest.fixture
def examples(tmp_path):
    """Two pictures of 40x30 and one that is none."""
    for name, value in (("a.png", 100), ("c.png", 51)):
        image = np.full((30, 40, 3), value, np.uint8)
        (tmp_path / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (tmp_path / "b.png").write_text("no picture")
    return [example(tmp_path / name) for name in ("a.png", "b.png", "c.png")]


@pytest.mark.parametrize("workers", [1, 3])
def test_labels_become_the_datas_and_strangers_are_counted(examples, workers):
    run = detect_pictures(Sees(), examples, ("cat", "dog", "bird"), workers)
    assert [p.path.name for p in run.pictures] == ["a.png", "c.png"]
    assert run.pictures[0].found.names == ["bird", "cat"]
    assert run.pictures[0].found.labels.tolist() == [2, 0]
    assert run.pictures[0].size_wh == (40, 30)
    assert dict(run.strangers) == {"unicorn": 2}
    assert run.infer_ms == [2, 2]
    assert len(run.failed) == 1
    assert "b.png" in run.failed[0]


def test_no_readable_picture_is_an_error(examples):
    with pytest.raises(DetectorError, match=r"none of 1 pictures can be read; the first: .*b\.png"):
        detect_pictures(Sees(), examples[1:2], ("cat",))


def test_truth_is_not_clipped_and_inverted_boxes_go():
    boxes = [(-5, 2, 30, 40), (50, 50, 50, 60), (0, 0, 10, 10), (60, 0, 70, 9), (9, 9, 4, 4)]
    one = example("a.jpg", boxes, (False, False, True, False, False))
    picture = labelled(one, (20, 30), Detections.empty(("cat",)))
    assert picture.xyxy.tolist() == [list(box) for box in boxes[:4]]
    assert picture.ignore.tolist() == [False, False, True, False]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_and_little_is_taken_ahead(workers):
    taken = []

    def numbers():
        for number in range(50):
            taken.append(number)
            yield number

    results = ahead(lambda n: n * n, numbers(), workers)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) <= 5 + 2 * workers + 1
    assert list(results) == [n * n for n in range(5, 50)]
