"""The arithmetic of the checks: overlaps, odd boxes, what anchors can match."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.check.boxes import odd_boxes
from detector.data.check.fit import anchor_fit
from detector.detections import pairwise_iou

BOXES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 30], [0, 0, 20, 20]], np.float32)
coordinate = st.integers(-30, 130)


def kinds_of(*boxes: tuple[float, ...], ignore: bool = False) -> list[str]:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64)
    ignored = np.full(len(boxes), ignore)
    return [kind for kind, _, _ in odd_boxes(xyxy, labels, ignored, (100, 80))]


def test_pairwise_iou() -> None:
    expected = [[1, 1 / 3, 0, 0.25], [1 / 3, 1, 0, 0.25], [0, 0, 0, 0], [0.25, 0.25, 0, 1]]
    np.testing.assert_allclose(pairwise_iou(BOXES, BOXES), expected, rtol=1e-6)
    assert pairwise_iou(BOXES[:0], BOXES).shape == (0, 4)


def test_anchors_match_large_boxes_and_miss_tiny_ones() -> None:
    large, tiny = [0.2, 0.2, 0.8, 0.8], [0.5, 0.5, 0.52, 0.52]
    fit = anchor_fit(np.array([large, tiny, tiny], np.float32))
    assert fit is not None
    rows = {row.name: row for row in fit}
    assert (rows["large"].boxes, rows["large"].recall) == (1, 1.0)
    assert (rows["tiny"].boxes, rows["tiny"].recall) == (2, 0.0)
    assert rows["all"].recall == pytest.approx(1 / 3)
    assert sum(row.share for row in fit[:-1]) == pytest.approx(1)
    nothing = anchor_fit(np.zeros((0, 4), np.float32))
    assert nothing is not None
    assert all(row.boxes == 0 for row in nothing)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((0, 0, 60, 60), None),
        ((-0.4, 0, 60, 80.4), None),  # rounding
        ((-1, 0, 60, 60), "off-by-one"),
        ((0, 0, 101, 60), "off-by-one"),
        ((0, 0, 101.5, 60), "box-outside"),
        ((0, 0, 100, 78), "covers-picture"),
        ((50, 50, 51, 70), "tiny-box"),
        ((50, 50, 51.4, 70), None),
        ((100, 0, 120, 60), "box-off-picture"),
    ],
)
def test_where_the_limits_are(box: tuple[float, ...], kind: str | None) -> None:
    assert kinds_of(box) == ([kind] if kind else [])


def test_a_crowd_may_fill_the_picture() -> None:
    assert kinds_of((0, 0, 100, 80), ignore=True) == []
    assert kinds_of((30, 0, 30, 80), ignore=True) == ["zero-size-box"]
    assert kinds_of() == []


@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=6))
def test_a_box_called_good_can_be_learned_from(boxes: list[tuple[int, ...]]) -> None:
    for box in boxes:
        if not kinds_of(box):
            x1, y1, x2, y2 = box
            assert 0 <= x1 < x2 <= 100
            assert 0 <= y1 < y2 <= 80
