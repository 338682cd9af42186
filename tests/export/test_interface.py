"""What goes into an exported file and what comes out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from detector import metadata
from detector.export.agree import torch_runner
from detector.export.interface import Order
from detector.export.network import Heads, Shipped, bgr_first, example, fused
from detector.model.anchors import anchors_cxcywh
from detector.model.checkpoint import ModelCard, build

CARD = ModelCard(("a", "b"), 0.25)
FRAME = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def order() -> Order:
    torch.manual_seed(0)
    model = build(CARD).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(4, 3, 96, 96) * 2 - 1)
    return Order(model.eval(), CARD, 96)


def with_interface(order: Order, taken: str, given: str) -> Order:
    return Order(order.model, order.card, order.size, taken, given)


@pytest.mark.parametrize("taken", ["frame", "tensor"])
def test_what_ships_computes_what_the_network_does(order: Order, taken: str) -> None:
    expected = torch_runner(order)(FRAME)
    variant = with_interface(order, taken, "boxes")
    with torch.no_grad():
        boxes, scores = Shipped(variant).eval()(torch.from_numpy(variant.feed(FRAME)))
    np.testing.assert_allclose(boxes, expected["boxes"], atol=1e-4)
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-4)


def test_planes_are_a_frame_with_its_axes_moved(order: Order) -> None:
    planes = torch.from_numpy(FRAME.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        boxes, scores = Shipped(order, planar=True).eval()(planes)
        expected = Shipped(order).eval()(torch.from_numpy(FRAME))
    assert torch.equal(boxes, expected[0])
    assert torch.equal(scores, expected[1])


def test_raw_outputs_and_the_anchors_beside_them_give_the_boxes(order: Order) -> None:
    raw = with_interface(order, "frame", "raw")
    with torch.no_grad():
        logits, offsets = Heads(raw).eval()(torch.from_numpy(raw.feed(FRAME)))
    about = json.loads(json.dumps(raw.anchors()))  # as a host reads it
    anchors = np.array(about["anchors_cxcywh"], np.float32)
    np.testing.assert_allclose(anchors, anchors_cxcywh(order.model.anchors, (96, 96)), atol=1e-6)
    move, grow = np.split(offsets[0].numpy(), 2, axis=1)
    centre = anchors[:, :2] + move * about["centre_variance"] * anchors[:, 2:]
    half = np.exp(grow * about["size_variance"]) * anchors[:, 2:] / 2
    expected = torch_runner(order)(FRAME)
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    np.testing.assert_allclose(boxes, expected["boxes"][0], atol=1e-4)
    np.testing.assert_allclose(logits.sigmoid()[0], expected["scores"][0], atol=1e-4)


def test_a_tensor_is_rgb_in_unit_range(order: Order) -> None:
    fed = with_interface(order, "tensor", "boxes").feed(FRAME)
    assert fed.shape == (1, 3, 96, 96)
    assert fed.dtype == np.float32
    np.testing.assert_allclose(fed[0, 0, 5, 7], FRAME[0, 5, 7, 2] / 255)
    assert example(with_interface(order, "tensor", "boxes")).shape == fed.shape


def test_a_plain_variant_does_not_pass_for_our_own_file(order: Order) -> None:
    assert order.described()["format"] == metadata.FORMAT
    assert not order.plain
    for taken, given in (("tensor", "boxes"), ("frame", "raw"), ("frame", "nms")):
        variant = with_interface(order, taken, given)
        assert variant.plain
        assert variant.described()["format"] != metadata.FORMAT
    assert with_interface(order, "frame", "nms").described()["score"] == "0.05"


def test_fusing_leaves_the_network_alone(order: Order) -> None:
    before = {name: value.clone() for name, value in order.model.state_dict().items()}
    bgr_first(fused(order.model))
    after = order.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
