"""Which anchor answers for which box."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.anchors import anchors_cxcywh, ssd_spec
from detector.model.boxes import cxcywh_to_xyxy, iou_matrix
from detector.training.matching import (
    BACKGROUND,
    UNDECIDED,
    match_dynamic,
    match_iou,
    with_iou_quality,
)

NO_IGNORE = torch.zeros(1, dtype=torch.bool)
GRID = torch.tensor(
    [[x / 4, y / 4, (x + 1) / 4, (y + 1) / 4] for y in range(4) for x in range(4)]
)  # 16 anchors that tile the picture

ANCHORS = cxcywh_to_xyxy(anchors_cxcywh(ssd_spec(96), (96, 96)))


def test_no_boxes_leaves_background_only():
    targets = match_iou(GRID, torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool))
    assert (targets.index == BACKGROUND).all()
    assert (targets.quality == 0).all()


def test_thresholds_make_positive_undecided_and_background():
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    anchors = torch.tensor(
        [[0, 0, 1.0, 0.9], [0, 0, 1.0, 0.6], [0, 0, 1.0, 0.45], [0, 0, 1.0, 0.3]]
    )
    targets = match_iou(anchors, box, NO_IGNORE, positive=0.5, negative=0.4)
    assert targets.index.tolist() == [0, 0, UNDECIDED, BACKGROUND]
    assert targets.quality.tolist() == [1, 1, 0, 0]


def test_a_small_box_still_gets_its_best_anchor():
    box = torch.tensor([[0.30, 0.30, 0.34, 0.34]])
    targets = match_iou(GRID, box, NO_IGNORE)
    assert torch.nonzero(targets.index == 0).flatten().tolist() == [5]


def test_two_boxes_with_one_best_anchor_get_one_each():
    boxes = torch.tensor([[0.26, 0.26, 0.50, 0.50], [0.20, 0.26, 0.45, 0.50]])
    anchors = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.0, 0.25, 0.25, 0.5]])
    targets = match_iou(anchors, boxes, torch.zeros(2, dtype=torch.bool), positive=0.9)
    assert targets.index.tolist() == [0, 1]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40))
def test_best_anchors_are_those_of_taking_the_closest_pair_first(seed, count):
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, generator=generator)
    half = torch.rand(count, 2, generator=generator) * 0.03 + 0.002
    boxes = torch.cat([centre - half, centre + half], dim=1)
    boxes[count // 2 :] = boxes[: count - count // 2].clone()  # the same object labelled twice
    iou = iou_matrix(GRID, boxes)
    expected = torch.full((len(GRID),), -1)
    left = iou.clone()
    while left.max() > 0:
        anchor, box = divmod(int(left.argmax()), count)
        expected[anchor] = box
        left[anchor], left[:, box] = -1.0, -1.0
    found = match_iou(GRID, boxes, torch.zeros(count, dtype=torch.bool), positive=1.1).index
    # Twins may share their two anchors either way.
    assert torch.equal(found >= 0, expected >= 0)
    mine, theirs = found[found >= 0], expected[expected >= 0]
    torch.testing.assert_close(boxes[mine], boxes[theirs])


def test_a_box_that_touches_no_anchor_is_left_alone():
    targets = match_iou(GRID, torch.tensor([[2.0, 2.0, 2.1, 2.1]]), NO_IGNORE)
    assert (targets.index == BACKGROUND).all()


def test_a_box_without_area_asks_nothing():
    targets = match_iou(GRID, torch.tensor([[0.3, 0.3, 0.3, 0.6]]), NO_IGNORE)
    assert (targets.index == BACKGROUND).all()


def test_anchors_inside_an_ignored_box_are_undecided_unless_wanted():
    boxes = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.25, 0.25]])
    targets = match_iou(GRID, boxes, torch.tensor([True, False]))
    assert targets.index[0] == 1
    assert (targets.index[1:8] == UNDECIDED).all()
    assert (targets.index[8:] == BACKGROUND).all()


@given(st.integers(0, 2**31 - 1), st.integers(1, 6))
def test_every_box_has_an_anchor_and_every_match_overlaps(seed, count):
    torch.manual_seed(seed)
    low = torch.rand(count, 2) * 0.7
    boxes = torch.cat([low, low + 0.05 + torch.rand(count, 2) * 0.25], dim=1)
    targets = match_iou(ANCHORS, boxes, torch.zeros(count, dtype=torch.bool))
    assert set(range(count)) <= set(targets.index.tolist())
    rows = torch.nonzero(targets.index >= 0).flatten()
    overlap = iou_matrix(ANCHORS, boxes)[rows, targets.index[rows]]
    assert (overlap > 0).all()


def test_quality_is_the_overlap_of_the_prediction():
    box = torch.tensor([[0.0, 0.0, 0.25, 0.25]])
    predicted = GRID.clone()
    predicted[0] = torch.tensor([0.0, 0.0, 0.25, 0.125])
    targets = with_iou_quality(match_iou(GRID, box, NO_IGNORE), predicted, box)
    assert targets.index[0] == 0
    assert targets.quality[0] == pytest.approx(0.5)
    assert (targets.quality[1:] == 0).all()


def dynamic(boxes, scores, predicted=GRID, labels=None, ignore=None, **options):
    count = len(boxes)
    labels = torch.zeros(count, dtype=torch.int64) if labels is None else labels
    ignore = torch.zeros(count, dtype=torch.bool) if ignore is None else ignore
    return match_dynamic(GRID, boxes, labels, ignore, scores, predicted, **options)


def test_dynamic_takes_the_best_of_the_candidates():
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    scores = torch.full((16, 1), 0.1)
    scores[[3, 9]] = 0.9
    predicted = GRID.clone()
    predicted[[3, 9, 12]] = box
    targets = dynamic(box, scores, predicted, top=2)
    assert torch.nonzero(targets.index == 0).flatten().tolist() == [3, 9]
    assert targets.quality[[3, 9]].tolist() == pytest.approx([1.0, 1.0])


def test_dynamic_looks_at_the_score_of_the_boxs_own_class():
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    scores = torch.full((16, 2), 0.1)
    scores[2, 0], scores[7, 1] = 0.9, 0.9
    targets = dynamic(box, scores, box.expand(16, 4), labels=torch.tensor([1]), top=1)
    assert torch.nonzero(targets.index == 0).flatten().tolist() == [7]


def test_dynamic_gives_a_box_between_all_centres_its_closest_anchor():
    box = torch.tensor([[0.27, 0.27, 0.31, 0.31]])
    targets = dynamic(box, torch.full((16, 1), 0.01))
    assert torch.nonzero(targets.index == 0).flatten().tolist() == [5]


def test_dynamic_without_boxes_and_with_ignored_ones():
    scores = torch.full((16, 1), 0.5)
    assert (dynamic(torch.zeros(0, 4), scores).index == BACKGROUND).all()
    half = torch.tensor([[0.0, 0.0, 1.0, 0.5]])
    targets = dynamic(half, scores, ignore=torch.tensor([True]))
    assert targets.index.tolist() == [UNDECIDED] * 8 + [BACKGROUND] * 8


def test_dynamic_gives_a_contested_anchor_to_the_box_it_overlaps_most():
    boxes = torch.tensor([[0.0, 0.0, 0.25, 0.25], [0.0, 0.0, 1.0, 1.0]])
    targets = dynamic(boxes, torch.full((16, 1), 0.5), top=16)
    assert targets.index[0] == 0
    assert (targets.index[1:] == 1).all()
