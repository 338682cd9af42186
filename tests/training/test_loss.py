"""The losses, against sums worked out by hand and against their own definitions."""

import math

import pytest
import torch

from detector.model.boxes import encode
from detector.training import loss


def logit(p):
    return math.log(p / (1 - p))


def test_focal_by_hand():
    logits = torch.tensor([[logit(0.9), logit(0.2)]])
    found = loss.focal(logits, torch.tensor([[1.0, 0.0]]), alpha=0.25, gamma=2.0)
    wanted = 0.25 * 0.1**2 * -math.log(0.9) + 0.75 * 0.2**2 * -math.log(0.8)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_focal_without_gamma_is_weighted_cross_entropy():
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    ce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    assert float(loss.focal(logits, targets, alpha=0.5, gamma=0.0)) == pytest.approx(
        0.5 * float(ce)
    )


def test_focal_stands_extreme_logits():
    logits = torch.tensor([[500.0, -500.0]], requires_grad=True)
    value = loss.focal(logits, torch.tensor([[0.0, 1.0]]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_quality_focal_is_least_where_the_score_is_the_quality():
    scores = torch.linspace(0.05, 0.95, 19)
    values = [
        float(loss.quality_focal(torch.tensor([[logit(p)]]), torch.tensor([[0.7]])))
        for p in scores.tolist()
    ]
    assert scores[values.index(min(values))] == pytest.approx(0.7)
    assert min(values) == pytest.approx(0.0, abs=1e-9)


def test_hard_negatives_are_the_worst_three_per_positive():
    logits = torch.tensor([[0.0], [3.0], [2.0], [1.0], [-5.0], [-6.0]])
    targets = torch.tensor([[1.0], [0], [0], [0], [0], [0]])
    wanted = math.log(2) + sum(math.log1p(math.exp(x)) for x in (3, 2, 1))
    assert float(loss.hard_negative(logits, targets)) == pytest.approx(wanted, rel=1e-5)


def test_hard_negatives_of_a_picture_without_objects_and_of_one_without_background():
    alone = loss.hard_negative(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1))
    assert float(alone) == pytest.approx(math.log1p(math.exp(2)), rel=1e-5)
    full = loss.hard_negative(torch.zeros(2, 1), torch.ones(2, 1))
    assert float(full) == pytest.approx(2 * math.log(2))


def test_box_losses_are_zero_for_the_right_box_and_grow_with_the_error():
    anchors = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.4, 0.6, 0.3, 0.1]])
    boxes = torch.tensor([[0.4, 0.45, 0.6, 0.55], [0.2, 0.5, 0.55, 0.7]])
    right = encode(boxes, anchors)
    for box_loss in (loss.smooth_l1, loss.giou):
        errors = [float(box_loss(right + e, anchors, boxes).sum()) for e in (0.0, 0.3, 1.0)]
        assert errors[0] == pytest.approx(0, abs=1e-5)
        assert errors[0] < errors[1] < errors[2]


def test_smooth_l1_is_quadratic_then_linear():
    anchors, boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2]]), torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    for move, wanted in ((0.5, 0.125), (3.0, 2.5)):
        offsets = torch.tensor([[move, 0.0, 0.0, 0.0]])
        assert float(loss.smooth_l1(offsets, anchors, boxes)) == pytest.approx(wanted, rel=1e-5)


def test_giou_is_two_at_worst():
    anchors = torch.tensor([[0.1, 0.1, 0.01, 0.01]])
    far = loss.giou(torch.zeros(1, 4), anchors, torch.tensor([[0.98, 0.98, 0.99, 0.99]]))
    assert 1.9 < float(far) < 2.0
