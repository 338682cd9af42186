"""Agreement with torch: what counts as such and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from detector.detections import select
from detector.export.agree import (
    Agreement,
    ExportedDetector,
    _detections_apart,
    agreement,
    torch_runner,
)
from detector.export.interface import Order
from detector.model.checkpoint import ModelCard, build

CARD = ModelCard(("a", "b"), 0.25)
FRAMES = [np.random.default_rng(i).integers(0, 256, (90, 120, 3), np.uint8) for i in range(2)]


@pytest.fixture(scope="module")
def order() -> Order:
    torch.manual_seed(0)
    model = build(CARD).eval()
    for head in model.class_heads:
        nn.init.normal_(head.predict.bias)
    return Order(model, CARD, 96)


def changed(order: Order, boxes: float = 0.0, scores: float = 0.0):
    """The network in torch, but with every box and score moved."""
    run = torch_runner(order)

    def moved(batch: np.ndarray) -> dict[str, np.ndarray]:
        found = run(batch)
        return {"boxes": found["boxes"] + boxes, "scores": found["scores"] + scores}

    return moved


def test_the_network_agrees_with_itself(order: Order) -> None:
    px, scores, best = agreement(order, changed(order), FRAMES)
    assert (px, scores) == (0, 0)
    assert best > 0.5


def test_differences_are_in_pixels_of_the_picture_and_in_scores(order: Order) -> None:
    px, scores, _ = agreement(order, changed(order, 0.01, 0.02), FRAMES)
    assert px == pytest.approx(0.01 * 120, rel=1e-3)  # the longer side
    assert scores == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (Agreement(0.4, 0.009, 0.9), True),
        (Agreement(0.6, 0.0, 0.9), False),
        (Agreement(0.0, 0.02, 0.9), False),
        (Agreement(float("nan"), 0.0, 0.9), False),
        (Agreement(0.0, float("nan"), 0.9), False),
        (Agreement(0.0, 0.0, 0.9, 37.6, 37.65), True),
        (Agreement(0.0, 0.0, 0.9, 37.6, 37.9), False),
        (Agreement(0.0, 0.0, 0.9, float("nan"), 37.9), False),
    ],
)
def test_what_may_be_shipped(found: Agreement, holds: bool) -> None:
    assert found.holds is holds


def test_a_nan_in_one_picture_is_not_lost(order: Order) -> None:
    run, calls = torch_runner(order), []

    def broken(batch: np.ndarray) -> dict[str, np.ndarray]:
        found = run(batch)
        calls.append(1)
        return {**found, "scores": found["scores"] * (np.nan if len(calls) == 1 else 1)}

    assert np.isnan(agreement(order, broken, FRAMES)[1])


def test_detections_after_nms_are_compared_one_by_one(order: Order) -> None:
    finished = Order(order.model, CARD, 96, "frame", "nms", score=0.3)
    found = ExportedDetector(order, torch_runner(order))
    frame = FRAMES[0]
    every, _ = found.detect_timed(frame)
    kept = every[every.scores >= 0.3]
    assert len(kept) > 3

    def outputs(detections, batch):
        scale = np.array([120, 90, 120, 90], np.float32)
        return {
            "boxes": detections.xyxy / scale,
            "scores": detections.scores,
            "labels": detections.labels,
        }

    whole = agreement(finished, lambda batch: outputs(kept, batch), [frame])
    assert whole[0] < 1e-3
    assert whole[1] == 0
    one_less = agreement(finished, lambda batch: outputs(kept[1:], batch), [frame])
    assert one_less[1] == 1


def test_a_crowd_cut_at_top_k_may_end_differently() -> None:
    """100 of 144 objects are kept by scores that hardly differ, and then vote."""
    rng = np.random.default_rng(0)
    order = Order(build(CARD), CARD, 96, outputs="nms", iou=0.5)
    corner = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 1, 2) / 12
    jitter = rng.normal(0, 0.008, (144, 4, 2))
    low = corner + np.abs(jitter)
    boxes = np.concatenate([low, low + 0.06], -1).reshape(-1, 4).astype(np.float32)
    for _ in range(20):
        scores = rng.uniform(0.5, 0.9, (len(boxes), 2)) * [1, 0]
        theirs = boxes, scores.astype(np.float32)
        moved = np.clip(scores + rng.normal(0, 1e-3, scores.shape) * [1, 0], 0, 1)
        found = select(boxes, moved.astype(np.float32), (90, 120), CARD.class_names, order.limits())
        frame = np.array([120, 90, 120, 90], np.float32)
        ours = {"boxes": found.xyxy / frame, "scores": found.scores, "labels": found.labels}
        assert len(found) == 100
        assert _detections_apart(order, ours, theirs, (90, 120))[1] < 0.1, "1: in one of them only"
