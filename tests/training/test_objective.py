"""Batches of outputs and labelled boxes to losses."""

import dataclasses

import pytest
import torch

from detector.model.anchors import anchors_cxcywh, ssd_spec
from detector.model.boxes import encode
from detector.training.matching import match_iou
from detector.training.objective import Objective, Truth
from detector.training.options import LossOptions

ANCHORS = anchors_cxcywh(ssd_spec(96), (96, 96))
COMBINATIONS = [
    Objective(matcher=m, class_loss=c, box_loss=b)
    for m in ("iou", "dynamic")
    for c in ("focal", "ohem", "quality")
    for b in ("smooth-l1", "giou")
]


def truth(boxes, labels, ignore=None):
    ignore = [False] * len(boxes) if ignore is None else ignore
    return Truth(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(ignore, dtype=torch.bool),
    )


ONE = truth([[0.2, 0.3, 0.6, 0.8]], [1])
NONE = truth([], [])


def outputs(count=1, classes=2, seed=0):
    torch.manual_seed(seed)
    logits = torch.randn(count, len(ANCHORS), classes) - 3
    offsets = torch.randn(count, len(ANCHORS), 4)
    return logits.requires_grad_(), offsets.requires_grad_()


@pytest.mark.parametrize("objective", COMBINATIONS, ids=str)
def test_every_combination_has_finite_losses_and_gradients(objective):
    logits, offsets = outputs(3)
    crowd = truth([[0.1, 0.1, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]], [0, 1], [False, True])
    losses = objective(logits, offsets, ANCHORS, [ONE, NONE, crowd])
    assert losses["class"] > 0
    assert losses["box"] > 0
    sum(losses.values()).backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(offsets.grad).all()
    assert (offsets.grad[1] == 0).all()  # without a box nothing is said about boxes


@pytest.mark.parametrize("objective", COMBINATIONS, ids=str)
def test_descending_it_finds_the_box(objective):
    logits, offsets = outputs()
    with torch.no_grad():
        offsets.mul_(0.1)
    moved = torch.optim.Adam([logits, offsets], lr=0.1)
    for _ in range(100):
        moved.zero_grad()
        sum(objective(logits, offsets, ANCHORS, [ONE]).values()).backward()
        moved.step()
    best = torch.sigmoid(logits[0]).amax(dim=1).argmax()
    assert logits[0, best].argmax() == 1
    assert torch.allclose(offsets[0, best], encode(ONE.xyxy[0], ANCHORS[best]), atol=0.35)


def test_pictures_without_objects_are_negatives():
    logits, offsets = outputs()
    losses = Objective()(logits, offsets, ANCHORS, [NONE])
    assert losses["box"] == 0
    losses["class"].backward()
    assert (logits.grad > 0).all()  # every score is pushed down


def test_undecided_anchors_count_for_nothing():
    logits, offsets = outputs()
    everything = truth([[0.0, 0.0, 1.0, 1.0]], [0], [True])
    losses = Objective()(logits, offsets, ANCHORS, [everything])
    losses["class"].backward()
    corners = ANCHORS[:, :2] - ANCHORS[:, 2:] / 2, ANCHORS[:, :2] + ANCHORS[:, 2:] / 2
    inside = (corners[0] >= 0).all(dim=1) & (corners[1] <= 1).all(dim=1)
    assert inside.any()
    assert (logits.grad[0, inside] == 0).all()


def test_losses_are_per_matched_anchor():
    logits, offsets = outputs()
    once = Objective()(logits, offsets, ANCHORS, [ONE])
    twice = Objective()(logits.expand(2, -1, -1), offsets.expand(2, -1, -1), ANCHORS, [ONE, ONE])
    for name in ("class", "box"):
        assert once[name].item() == pytest.approx(twice[name].item(), rel=1e-5)


def test_sums_of_parts_are_the_sum_of_the_whole():
    """What lets devices share a batch."""
    logits, offsets = outputs(2)
    objective = Objective()
    whole = objective.sums(logits, offsets, ANCHORS, [ONE, NONE])
    parts = [
        objective.sums(logits[i : i + 1], offsets[i : i + 1], ANCHORS, [t])
        for i, t in enumerate((ONE, NONE))
    ]
    for value, *shares in zip(whole, *parts, strict=True):
        assert float(value) == pytest.approx(float(sum(shares)), rel=1e-5)
    matched = match_iou(_xyxy(), ONE.xyxy, ONE.ignore).index >= 0
    assert float(whole.weight) == float(matched.sum()) > 0


def _xyxy():
    return torch.cat([ANCHORS[:, :2] - ANCHORS[:, 2:] / 2, ANCHORS[:, :2] + ANCHORS[:, 2:] / 2], 1)


def test_the_box_weight_scales_the_box_loss_alone():
    logits, offsets = outputs()
    plain = Objective()(logits, offsets, ANCHORS, [ONE])
    heavy = Objective(box_weight=3.0)(logits, offsets, ANCHORS, [ONE])
    assert float(heavy["class"]) == float(plain["class"])
    assert float(heavy["box"]) == pytest.approx(3 * float(plain["box"]))


def test_it_takes_the_options_as_they_are():
    options = LossOptions(matcher="dynamic", box_weight=2.0)
    made = Objective(**dataclasses.asdict(options))
    assert (made.matcher, made.box_weight) == ("dynamic", 2.0)
