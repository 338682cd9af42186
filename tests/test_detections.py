"""Detections and the non-maximum suppression, against one written to be obviously right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detections import _CHUNK, Detections, Limits, nms, select, voted

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
    found = select(boxes, scores, (50, 100), NAMES, Limits(0.5, 0.5, 10))
    assert found.names == ["person", "cat", "xoài"], "two names for one box, none outside"
    np.testing.assert_allclose(found.xyxy[0], [10, 10, 50, 30])
    np.testing.assert_allclose(found.xyxy[1], [0, 25, 50, 50], err_msg="clipped to the frame")
    only = select(boxes, scores, (1, 1), NAMES, Limits(0.5, 0.5, 10), np.array([1, 2]))
    assert only.names == ["cat", "xoài"]
    assert only.labels.tolist() == [1, 2]
    np.testing.assert_allclose(only.xyxy[1], boxes[0])
    assert len(select(boxes, scores, (50, 100), NAMES, Limits(0.5, 0.5, 1))) == 1
    assert select(boxes[:0], scores[:0], (50, 100), NAMES, Limits(0.5, 0.5, 1)).xyxy.shape == (0, 4)


def voted_by_hand(xyxy, scores, labels, kept, spread):
    """Left, top, right, bottom and agreement: one box, one side and one voter at a time."""
    boxes = xyxy.astype(np.float64)
    for k in kept:
        total, sums, around, shares = 0.0, np.zeros(4), 0.0, 0.0
        for i in range(len(boxes)):
            shared = float(overlap(boxes[i], boxes[k]))
            if labels[i] == labels[k] and shared > 0 and scores[i] > scores[k] / 2:
                vote = (scores[i] - scores[k] / 2) * np.exp(-((1 - shared) ** 2) / spread)
                total, sums = total + vote, sums + vote * boxes[i]
                near = (scores[i] - scores[k] / 2) * np.exp(-((1 - shared) ** 2) / (4 * spread))
                around, shares = around + near, shares + near * shared
        yield [*sums / total, shares / around] if total else [*boxes[k], 1]


@settings(max_examples=200, deadline=None)
@given(candidates(), st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.sampled_from([0.02, 0.05, 1.0]))
def test_each_box_is_where_its_voters_say_as_far_as_they_agree(found, iou, spread):
    kept = nms(*found, iou, 100)
    expected = np.array(list(voted_by_hand(*found, kept, spread))).reshape(-1, 5)
    placed, agreed = voted(*found, kept, spread)
    np.testing.assert_allclose(placed, expected[:, :4], atol=2e-4)
    np.testing.assert_allclose(agreed, expected[:, 4], atol=1e-5)
    assert agreed.max(initial=0) <= 1


def test_whom_a_vote_moves():
    boxes = np.float32([[0, 0, 10, 10], [2, 0, 12, 10], [2, 0, 12, 10], [0, 0, 10, 18]])
    scores, labels = np.float32([0.8, 0.6, 0.4, 0.39]), np.array([0, 0, 1, 0])
    shown, agreed = voted(boxes, scores, labels, np.array([0, 2, 3]), 0.05)
    vote = 0.2 * np.exp(-((1 - 8 / 12) ** 2) / 0.05)  # 0.2 above half of 0.8
    expected = 2 * vote / (0.4 + vote)
    np.testing.assert_allclose(shown[0], [expected, 0, 10 + expected, 10], rtol=1e-5)
    np.testing.assert_array_equal(shown[1], boxes[2], "alone in its class")
    assert 17 < shown[2, 3] < 18, "a weak box moves to strong ones, and not the other way"
    near = 0.2 * np.exp(-((1 - 8 / 12) ** 2) / 0.2)
    assert agreed[0] == pytest.approx((0.4 + near * 8 / 12) / (0.4 + near))
    assert agreed[1] == 1, "nobody is there to disagree"


def test_select_moves_what_it_keeps_if_told_to():
    boxes = np.float32([[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.52, 0.5], [0.14, 0.1, 0.54, 0.5]])
    scores = np.float32([[0.9, 0, 0], [0.8, 0, 0], [0.44, 0, 0]])
    still = select(boxes, scores, (100, 100), NAMES, Limits(0.5, 0.5, 10))
    moved = select(boxes, scores, (100, 100), NAMES, Limits(0.5, 0.5, 10, vote=0.05))
    np.testing.assert_allclose(still.xyxy, [[10, 10, 50, 50]])
    assert 10.5 < moved.xyxy[0, 0] < 11, "a weighted mean of 10 and 12; 14 is too weak a voter"
    assert 0.85 < moved.scores[0] < 0.9, "and they agree by nearly all"
    for score in (0.0, 0.1, 0.8):  # who votes does not depend on what is shown
        again = select(boxes, scores, (100, 100), NAMES, Limits(score, 0.5, 10, vote=0.05))
        np.testing.assert_array_equal(again.xyxy[0], moved.xyxy[0])
        np.testing.assert_array_equal(again.scores[0], moved.scores[0])
    assert len(select(boxes, scores, (100, 100), NAMES, Limits(0.89, 0.5, 10, vote=0.05))) == 0
    none = select(boxes[:0], scores[:0], (100, 100), NAMES, Limits(0.5, 0.5, 10, vote=0.05))
    assert none.xyxy.shape == (0, 4)


def test_where_voters_disagree_another_box_may_come_first():
    lone = [[0.6, 0.6, 0.9, 0.9]]
    torn = [[0.0, 0.0, 0.4, 0.4], [0.0, 0.0, 0.4, 0.55], [0.0, 0.0, 0.55, 0.4]]
    boxes, scores = np.float32(torn + lone), np.float32([0.9, 0.85, 0.85, 0.8])[:, None]
    by_score = select(boxes, scores, (1, 1), NAMES[:1], Limits(0.1, 0.5, 10))
    found = select(boxes, scores, (1, 1), NAMES[:1], Limits(0.1, 0.5, 10, vote=0.05))
    np.testing.assert_array_equal(by_score.xyxy[0], boxes[0])
    np.testing.assert_array_equal(found.xyxy[0], boxes[3])
    assert found.scores[0] == np.float32(0.8)
    assert 0.7 < found.scores[1] < 0.8


@settings(max_examples=100, deadline=None)
@given(candidates(), st.sampled_from([0.1, 0.5]), st.sampled_from([0.02, 0.05, 1.0]))
def test_a_threshold_only_takes_away(found, score, spread):
    xyxy, values, labels = found
    names = tuple("abcdefgh")
    scores = np.zeros((len(xyxy), len(names)), np.float32)
    scores[np.arange(len(xyxy)), labels] = values
    low, high = (
        select(xyxy / 1000, scores, (1000, 1000), names, Limits(least, 0.6, 1000, spread))
        for least in (score / 2, score)
    )
    expected = low[low.scores >= score]
    np.testing.assert_allclose(high.scores, expected.scores, rtol=1e-5)
    assert (np.diff(low.scores) <= 0).all()


@pytest.mark.parametrize("spread", [1e-300, 1e-9, 0.005, 1])
def test_slivers_and_scores_of_nothing_stay_where_they_are(spread):
    boxes = np.float32([[-0.2, 0.3, 1e-8, 0.31], [0.5, 0.5, 0.5 + 1e-7, 0.6], [0, 0, 1, 1]])
    for score in (0.0, 1e-30, 1.0):
        scores = np.full(3, score, np.float32)
        shown, agreed = voted(boxes, scores, np.arange(3), np.arange(3), spread)
        np.testing.assert_allclose(shown, boxes, atol=1e-7)
        np.testing.assert_allclose(agreed, 1, atol=1e-6)


def test_ten_thousand_voters():
    rng = np.random.default_rng(3)
    corner = rng.random((10_000, 2)) * 600
    xyxy = np.hstack([corner, corner + 50]).astype(np.float32)
    found = xyxy, rng.random(10_000).astype(np.float32), np.zeros(10_000, np.int64)
    kept = nms(*found, 0.6, 100)
    shown, agreed = voted(*found, kept, 0.05)
    assert shown.shape == (100, 4)
    assert 0.1 < np.abs(shown - xyxy[kept]).max() < 25
    some = list(voted_by_hand(*found, kept[:2], 0.05))
    np.testing.assert_allclose(shown[:2], [one[:4] for one in some], atol=1e-2)
    np.testing.assert_allclose(agreed[:2], [one[4] for one in some], atol=1e-3)


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


@pytest.mark.parametrize("side", [1e-6, 1e-4, 0.1])
def test_a_box_alone_keeps_its_score_however_small_it_is(side):
    box, score = np.float32([[0.5, 0.5, 0.5 + side, 0.5 + side]]), np.float32([[0.9]])
    for frame_hw in ((1, 1), (300, 300)):
        found = select(box, score, frame_hw, NAMES[:1], Limits(0.1, 0.5, 10, vote=0.05))
        assert found.scores == pytest.approx([0.9], rel=1e-5)
