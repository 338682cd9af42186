"""Detections and the non-maximum suppression, against one written to be obviously right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detections import _CHUNK, Detections, nms, select

NAMES = ("person", "cat", "xoài")


def overlap(a, b):
    """Intersection over union as OpenCV rounds it: 1 - float32(1 - IoU)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return np.float32(0)
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return np.float32(1) - np.float32(1 - inter / union)


def brute_force(xyxy, scores, labels, iou, top_k):
    """Take the best that overlaps no taken one of its class by more than `iou`, one at a time."""
    kept = []
    boxes = xyxy.astype(np.float64)
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = (j for j in kept if labels[j] == labels[i])
        if all(overlap(boxes[i], boxes[j]) <= np.float32(iou) for j in rivals):
            kept.append(i)
    return kept[:top_k]


@st.composite
def candidates(draw):
    """Boxes on a grid of whole pixels, so that equal boxes, equal scores and touching edges occur.

    Ten by ten pixels at most: unions of such boxes stay clear of float32's rounding.
    """
    n = draw(st.integers(0, 40))
    corner = st.tuples(st.integers(-10, 10), st.integers(-10, 10))
    side = st.tuples(st.integers(1, 10), st.integers(1, 10))
    made = draw(st.lists(st.tuples(corner, side), min_size=n, max_size=n))
    xyxy = np.array([(x, y, x + w, y + h) for (x, y), (w, h) in made], np.float32).reshape(n, 4)
    tenths = draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return xyxy, np.array(tenths, np.float32) / 10, np.array(labels, np.int64)


@settings(max_examples=300, deadline=None)
@given(candidates(), st.sampled_from([0.0, 0.3, 0.45, 0.55, 0.61, 0.95, 1.0]), st.integers(1, 50))
def test_nms_is_the_brute_force(found, iou, top_k):
    assert nms(*found, iou, top_k).tolist() == brute_force(*found, iou, top_k)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 0.9]))
def test_nms_is_the_brute_force_across_chunks(seed, iou):
    rng = np.random.default_rng(seed)
    n = _CHUNK + 150
    corner = rng.random((n, 2)) * 300 - 100
    xyxy = np.hstack([corner, corner + rng.random((n, 2)) * 80 + 1]).astype(np.float32)
    found = xyxy, rng.random(n).astype(np.float32), rng.integers(0, 3, n)
    for top_k in (100, n):
        assert nms(*found, iou, top_k).tolist() == brute_force(*found, iou, top_k)


def test_nms_of_nothing_and_of_one():
    empty = Detections.empty(NAMES)
    kept = nms(empty.xyxy, empty.scores, empty.labels, 0.5, 100)
    assert kept.shape == (0,)
    assert len(empty[kept]) == 0
    one = np.array([[-5, -5, 5, 5]], np.float32), np.zeros(1, np.float32), np.array([79])
    assert nms(*one, 0.5, 100).tolist() == [0], "a score of 0 is a score"


def test_nms_keeps_equal_boxes_of_different_classes():
    xyxy = np.tile(np.array([[0, 0, 20000, 50]], np.float32), (80, 1))
    scores = np.linspace(0.1, 0.9, 80, dtype=np.float32)
    assert nms(xyxy, scores, np.arange(80), 0.0, 100).tolist() == list(range(79, -1, -1))
    assert nms(xyxy, scores, np.zeros(80, np.int64), 0.0, 100).tolist() == [79]


def test_nms_at_the_threshold_itself():
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [10, 0, 20, 10]], np.float32)
    scores, labels = np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64)
    assert nms(xyxy, scores, labels, 0.5, 9).tolist() == [0, 1, 2], "an IoU of 0.5 is not more"
    assert nms(xyxy, scores, labels, 0.49, 9).tolist() == [0, 2]
    assert nms(xyxy, scores, labels, 0.0, 9).tolist() == [0, 2], "touching is not overlapping"
    assert nms(xyxy[[0, 0]], scores[:2], labels[:2], 1.0, 9).tolist() == [0, 1]


@pytest.mark.parametrize("spread", [1, 600])
def test_nms_of_ten_thousand_stops_at_top_k(spread):
    rng = np.random.default_rng(3)
    corner = rng.random((10_000, 2)) * spread
    xyxy = np.hstack([corner, corner + 50]).astype(np.float32)
    found = xyxy, rng.random(10_000).astype(np.float32), rng.integers(0, 80, 10_000)
    kept = nms(*found, 0.6, 100)
    best = np.argsort(-found[1])[:2000]  # the first hundred come from here
    expected = brute_force(*(part[best] for part in found), 0.6, 100)
    assert kept[: len(expected)].tolist() == best[expected].tolist()
    assert len(kept) <= 100
    assert (np.diff(found[1][kept]) <= 0).all()


def test_select():
    boxes = np.array(
        [[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, 0.6], [-1, 0.5, 0.5, 3], [1.1, 0, 1.4, 1]],
        np.float32,
    )
    scores = np.array([[0.9, 0.1, 0.6], [0.8, 0.0, 0.0], [0.0, 0.7, 0.0], [1, 1, 1]], np.float32)
    found = select(boxes, scores, (50, 100), NAMES, 0.5, 0.5, 10)
    assert found.names == ["person", "cat", "xoài"], "two names for one box, none outside"
    np.testing.assert_allclose(found.xyxy[0], [10, 10, 50, 30])
    np.testing.assert_allclose(found.xyxy[1], [0, 25, 50, 50], err_msg="clipped to the frame")
    only = select(boxes, scores, (1, 1), NAMES, 0.5, 0.5, 10, np.array([1, 2]))
    assert only.names == ["cat", "xoài"]
    assert only.labels.tolist() == [1, 2]
    np.testing.assert_allclose(only.xyxy[1], boxes[0])
    assert len(select(boxes, scores, (50, 100), NAMES, 0.5, 0.5, 1)) == 1
    assert select(boxes[:0], scores[:0], (50, 100), NAMES, 0.5, 0.5, 1).xyxy.shape == (0, 4)


def test_detections_pick_and_iterate():
    found = Detections(
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.array([0.9, 0.5, 0.4], np.float32),
        np.array([2, 0, 2]),
        NAMES,
    )
    assert found.names == ["xoài", "person", "xoài"]
    assert [(score, name) for _, score, name in found[found.labels == 2]] == [
        (pytest.approx(0.9), "xoài"),
        (pytest.approx(0.4), "xoài"),
    ]
    assert found[:1].xyxy.tolist() == [[0, 1, 2, 3]]
    assert len(found[np.array([], np.int64)]) == 0
    assert list(Detections.empty(NAMES)) == []
    assert Detections.empty(NAMES).xyxy.shape == (0, 4)


def test_detections_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"2 scores need xyxy of shape \(2, 4\)"):
        Detections(np.zeros((3, 4), np.float32), np.zeros(2, np.float32), np.zeros(2, int), NAMES)
    with pytest.raises(ValueError, match="labels"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros(3, int), NAMES)
