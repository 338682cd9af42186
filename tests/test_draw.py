"""draw: pixels of the frame before and after."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector import draw
from detector.colors import class_color
from detector.detections import Detections
from detector.draw import draw_boxes, draw_detections, draw_overlay, text_size

NAMES = ("person", "cat", "xoài", "芒果", "a class name far too long for a small frame " * 3)
UInt8 = npt.NDArray[np.uint8]


def found(*boxes: tuple[float, float, float, float], label: int = 0) -> Detections:
    d = len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(d, 4)
    return Detections(xyxy, np.full(d, 0.87, np.float32), np.full(d, label, np.int64), NAMES)


def grey(height: int, width: int) -> UInt8:
    return np.full((height, width, 3), 128, np.uint8)


def changed(before: UInt8, after: UInt8) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = (before != after).any(axis=2)
    return mask


def test_no_detections_leave_the_frame_as_it_was() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    before = frame.copy()
    draw_detections(frame, Detections.empty(NAMES))
    draw_overlay(frame, [])
    np.testing.assert_array_equal(frame, before)


def test_a_box_is_drawn_on_its_edges_and_not_in_its_middle() -> None:
    frame = grey(480, 640)
    draw_detections(frame, found((100, 150, 300, 400)))
    blue = list(class_color(0))
    assert [frame[y, x].tolist() for y, x in ((300, 100), (300, 300), (400, 200))] == [blue] * 3
    assert (frame[180:370, 120:280] == 128).all()
    assert (frame[:, 400:] == 128).all()


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((100, 150, 300, 400), (100, 150)),  # on the box
        ((100, 5, 300, 400), (100, 0)),  # at the top edge: pushed down into the frame
        ((-50, -50, 900, 900), (0, 0)),  # larger than the frame
        ((600, 300, 639, 400), (640, 300)),  # at the right edge: pushed left
    ],
)
def test_the_label_lies_whole_inside_the_frame(
    box: tuple[float, float, float, float], place: tuple[int, int]
) -> None:
    """`place` is the label's left bottom corner before it is pushed into the frame."""
    frame = grey(480, 640)
    draw_detections(frame, found(box))
    sprite = draw._label_sprite("person", "87%", class_color(0), text_size((480, 640)), 320)
    h, w = sprite.shape[:2]
    assert 50 < w < 100
    x, y = min(place[0], 640 - w), max(place[1] - h, 0)
    np.testing.assert_array_equal(frame[y : y + h, x : x + w], sprite)


def test_a_box_wholly_outside_or_not_a_number_is_not_drawn() -> None:
    frame = grey(100, 100)
    draw_detections(frame, found((-50, 10, -5, 60), (10, 120, 50, 160), (np.nan, 0, 50, 50)))
    assert (frame == 128).all()


def test_a_box_of_no_area_still_shows() -> None:
    frame = grey(100, 100)
    draw_detections(frame, found((50, 50, 50, 50)))
    assert frame[50, 50].tolist() == list(class_color(0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (20, 20), (50, 20_000), (0, 10)])
def test_odd_frames_do_not_raise(shape: tuple[int, int]) -> None:
    frame = grey(*shape)
    draw_detections(frame, found((0, 0, 30, 30), (-9, -9, 1e6, 1e6), label=4))
    draw_overlay(frame, ["30 FPS", "xoài"], corner="bottom-right")
    assert frame.shape == (*shape, 3)
    assert frame.size == 0 or (frame != 128).any()


def test_text_follows_the_frame_but_never_fills_it() -> None:
    sizes = [text_size((s, s)) for s in (64, 480, 1080, 2160, 4000, 8000)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= draw.MIN_TEXT_PX
    assert text_size((480, 640)) == 13
    assert text_size((50, 20_000)) <= 50 / 4
    assert text_size((8000, 8000)) <= 128
    assert text_size((10, 10)) < draw.MIN_TEXT_PX


def test_two_labels_at_the_same_place_do_not_cover_each_other() -> None:
    box = np.array([[100, 150, 300, 300]] * 2, np.float32)
    both = Detections(box, np.float32([0.9, 0.8]), np.int64([0, 1]), NAMES)
    frame = grey(480, 640)
    draw_detections(frame, both)
    for label in (0, 1):
        alone = grey(480, 640)
        draw_detections(alone, found((100, 150, 300, 300), label=label))
        paper = (alone[:148] == class_color(label)).all(axis=2).sum()
        assert paper > 300
        assert (frame == class_color(label)).all(axis=2).sum() > 0.8 * paper


def test_a_crowd_keeps_every_box_and_some_labels() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 500, (100, 2))
    xyxy = np.hstack([corners, corners + rng.uniform(20, 200, (100, 2))]).astype(np.float32)
    crowd = Detections(
        xyxy, np.full(100, 0.5, np.float32), rng.integers(0, 4, 100, np.int64), NAMES
    )
    frame = grey(576, 768)
    draw_detections(frame, crowd)
    touched = changed(grey(576, 768), frame).mean()
    assert 0.2 < touched < 0.9


def test_a_long_name_is_shortened_and_keeps_its_score() -> None:
    sprite = draw._label_sprite(NAMES[4], "87%", class_color(4), 16, 200)
    other = draw._label_sprite(NAMES[4], "99%", class_color(4), 16, 200)
    assert 120 < sprite.shape[1] <= 200
    assert (sprite[:, -40:] != other[:, -40:]).any()


def test_the_same_label_twice_gives_the_same_pixels() -> None:
    first, second = grey(240, 320), grey(240, 320)
    for frame in (first, second):
        draw_detections(frame, found((50, 60, 200, 200), label=2))
    np.testing.assert_array_equal(first, second)


@given(
    xyxy=arrays(
        np.float32,
        (3, 4),
        elements=st.floats(-1e9, 1e9, width=32) | st.floats(-50, 150, width=32),
    ),
    height=st.integers(1, 120),
    width=st.integers(1, 120),
)
@settings(deadline=None, max_examples=150)
def test_any_box_in_any_frame(xyxy: npt.NDArray[np.float32], height: int, width: int) -> None:
    frame = grey(height, width)
    scores, labels = np.float32([1, 0.5, 0]), np.int64([0, 2, 4])
    draw_detections(frame, Detections(xyxy, scores, labels, NAMES))
    x1, y1, x2, y2 = xyxy.T
    seen = (x2 >= 0) & (y2 >= 0) & (x1 <= width) & (y1 <= height)
    assert (frame != 128).any() == seen.any()


@pytest.mark.parametrize("corner", get_args(draw.Corner))
def test_the_overlay_stays_in_its_corner_and_lets_the_frame_shine_through(
    corner: draw.Corner,
) -> None:
    frame = grey(480, 640)
    draw_overlay(frame, ["24.7 FPS", "0 dropped"], corner=corner)
    rows, columns = np.nonzero(changed(grey(480, 640), frame))
    top, left = corner.split("-")
    assert rows.min() == 0 if top == "top" else rows.max() == 479
    assert columns.min() == 0 if left == "left" else columns.max() == 639
    assert np.ptp(rows) < 60
    assert 60 < np.ptp(columns) < 160
    panel = frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert panel[0, 0, 0] == pytest.approx(128 * draw.PANEL_SHINE, abs=1)
    assert panel.max() > 200  # white text


def test_the_overlay_changes_with_its_text() -> None:
    first, second = grey(480, 640), grey(480, 640)
    draw_overlay(first, ["reconnecting (1/10)…"])
    draw_overlay(second, ["reconnecting (2/10)…"])
    assert 0 < changed(first, second).sum() < 200


def test_the_overlay_shrinks_its_text_to_fit_a_narrow_frame() -> None:
    line, text_px = "reconnecting to the camera (2/10)…", text_size((800, 200))
    roomy, _ = draw._panel((line,), text_px, 1000)
    tight, _ = draw._panel((line,), text_px, 200)
    assert roomy.shape[1] > 200
    assert 150 < tight.shape[1] <= 200
    assert draw.MIN_TEXT_PX <= tight.shape[0] < roomy.shape[0]


def test_of_two_labels_for_one_place_the_larger_box_gets_it() -> None:
    """Whatever their scores, which jitter from frame to frame."""
    boxes = np.array([[100, 150, 200, 200], [100, 150, 400, 400]], np.float32)
    frame = grey(480, 640)
    draw_detections(frame, Detections(boxes, np.float32([0.9, 0.5]), np.int64([0, 1]), NAMES))
    small, large = [(frame[:145] == class_color(label)).all(axis=2).sum() for label in (0, 1)]
    assert large > 300
    assert small == 0


def test_the_caches_are_bounded() -> None:
    assert draw._label_sprite.cache_info().maxsize == 512
    assert draw._panel.cache_info().maxsize == 16


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
)
def test_a_frame_of_another_kind_is_refused(frame: UInt8) -> None:
    with pytest.raises(ValueError, match=r"expected a BGR frame, uint8 \(H, W, 3\)"):
        draw_detections(frame, Detections.empty(NAMES))
    with pytest.raises(ValueError, match="expected a BGR frame"):
        draw_overlay(frame, ["x"])


def test_an_unknown_corner_is_refused() -> None:
    with pytest.raises(ValueError, match="corner is 'middle', expected one of top-left"):
        draw_overlay(grey(100, 100), ["x"], corner="middle")  # type: ignore[arg-type]


def test_a_part_of_a_larger_picture_can_be_drawn_on() -> None:
    whole = grey(300, 400)
    draw_detections(whole[50:250, 100:300], found((20, 60, 150, 150)))
    assert cv2.countNonZero(cv2.absdiff(whole, grey(300, 400))[..., 0]) > 100
    assert (whole[:50] == 128).all()
    assert (whole[:, 300:] == 128).all()


def test_boxes_take_any_colour_and_text_and_may_be_dashed() -> None:
    boxes = np.array([[20, 40, 120, 140], [200, 40, 300, 140]], np.float32)
    colors = [(10, 20, 250), (250, 20, 10)]
    frame = grey(240, 320)
    draw_boxes(frame, boxes, colors, [("", ""), ("cat", "missed")], dashed=[False, True])
    assert (frame[140, 25:115] == colors[0]).all()
    lower = (frame[140, 205:295] == colors[1]).all(axis=1)
    assert 0.3 < lower.mean() < 0.9
    assert lower[:2].any()  # corners are closed
    # Only the second has a label, above its top edge.
    assert (frame[:36, :150] == 128).all()
    assert (frame[:36, 200:] != 128).any()
