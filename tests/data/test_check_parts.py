"""Pictures cut into parts: which boxes each shows, and which parts are learned from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.cutting import Tile
from detector.data.check.parts import PartBoxes, boxes_in, with_objects

PART = Tile(100, 50, 300, 150)


def test_boxes_are_clipped_ignored_or_gone_by_what_is_left_of_them() -> None:
    boxes = np.array(
        [
            [110, 60, 130, 90],  # inside
            [90, 60, 110, 90],  # half left
            [80, 60, 110, 90],  # a third left: to ignore
            [5, 60, 105, 90],  # 5 % left
            [4, 60, 104, 90],  # 4 % left: gone
            [300, 60, 310, 90],  # beside it
            [290, 140, 290, 150],  # without area
        ],
        np.float32,
    )
    ignore = np.array([1, 0, 0, 0, 0, 0, 0], np.bool_)
    found = boxes_in(PART, boxes, ignore)
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.ignore.tolist() == [True, False, True, True]
    assert found.xyxy.tolist() == [
        [10, 10, 30, 40],
        [0, 10, 10, 40],
        [0, 10, 10, 40],
        [0, 10, 5, 40],
    ]


def test_no_boxes() -> None:
    found = boxes_in(PART, np.zeros((0, 4), np.float32), np.zeros(0, np.bool_))
    assert (found.rows.shape, found.xyxy.shape, found.ignore.shape) == ((0,), (0, 4), (0,))


@given(st.lists(st.tuples(*[st.floats(0, 400, width=32)] * 4), max_size=8))
def test_what_is_shown_lies_inside_and_has_an_area(corners: list[tuple[float, ...]]) -> None:
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    found = boxes_in(PART, boxes, np.zeros(len(boxes), np.bool_))
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [200, 100, 200, 100]).all()
    assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()


def test_which_parts_are_learned_from() -> None:
    full = PartBoxes(np.zeros(1, np.int64), np.zeros((1, 4), np.float32), np.zeros(1, np.bool_))
    none = PartBoxes(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.bool_))
    assert with_objects([full, full]) == [0, 1]
    assert with_objects([none, full, none, none, full, none, none]) == [0, 1, 3, 4]
    assert with_objects([none] * 6) == [0]
