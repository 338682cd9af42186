"""Anchors: their published count and shapes, the grid they stand on at any size, and decoding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.anchors import (
    AnchorSpec,
    anchors_cxcywh,
    best_ious,
    centres_px,
    draw_in,
    fields_px,
    growth,
    ssd_spec,
)
from detector.model.boxes import cxcywh_to_xyxy, decode
from detector.model.layers import SameConv2d

SIDES = st.integers(96, 640)
STRIDES = st.sampled_from([16, 32, 64, 128, 256, 512])


def test_the_coco_models_have_1917() -> None:
    anchors = anchors_cxcywh(ssd_spec(), (300, 300))
    assert anchors.shape == (1917, 4)
    assert anchors.dtype == torch.float32
    assert ssd_spec().per_map == [3, 6, 6, 6, 6, 6]


def test_first_and_last_by_hand() -> None:
    anchors = anchors_cxcywh(ssd_spec(), (300, 300))
    third = 0.5 / 19
    torch.testing.assert_close(anchors[0], torch.tensor([third, third, 0.1, 0.1]))
    root = 2**0.5
    torch.testing.assert_close(anchors[1], torch.tensor([third, third, 0.2 * root, 0.2 / root]))
    # The next cell of a row lies to the right; the next row 19 cells on.
    torch.testing.assert_close(anchors[3, :2], torch.tensor([3 * third, third]))
    torch.testing.assert_close(anchors[3 * 19, :2], torch.tensor([third, 3 * third]))
    last = (0.95 * 1.0) ** 0.5
    torch.testing.assert_close(anchors[-1], torch.tensor([0.5, 0.5, last, last]))


@given(SIDES, SIDES)
@settings(max_examples=30, deadline=None)
def test_shapes_keep_their_pixels_at_any_size_but_on_coarse_maps(height: int, width: int) -> None:
    spec = ssd_spec()
    anchors = anchors_cxcywh(spec, (height, width))
    per_map = [-(-height // 2**k) * -(-width // 2**k) for k in range(4, 10)]
    assert len(anchors) == sum(n * k for n, k in zip(per_map, spec.per_map, strict=True))
    first = anchors[:3, 2:] * torch.tensor([width, height])
    torch.testing.assert_close(first, torch.tensor(spec.shapes_wh[0]) * 300)
    # What the last map finds fills the picture, whatever its size.
    torch.testing.assert_close(anchors[-6:, 2:], torch.tensor(spec.shapes_wh[-1]))
    assert [growth(300, 16 * 2**k) for k in range(6)] == [0, 0, 0, 0.5, 1, 1]


@given(SIDES, SIDES)
@settings(max_examples=20, deadline=None)
def test_turning_the_frame_turns_the_cells(height: int, width: int) -> None:
    spec = AnchorSpec(300, (((0.1, 0.1),),))
    rows, columns = -(-height // 16), -(-width // 16)
    tall = anchors_cxcywh(spec, (height, width)).reshape(rows, columns, 4)
    wide = anchors_cxcywh(spec, (width, height)).reshape(columns, rows, 4)
    torch.testing.assert_close(tall.transpose(0, 1)[..., [1, 0, 3, 2]], wide)


@given(STRIDES)
def test_at_the_native_size_centres_divide_the_side_evenly(stride: int) -> None:
    centres = centres_px(300, 300, stride)
    n = len(centres)
    torch.testing.assert_close(centres, (torch.arange(n) + 0.5) * 300 / n)


@given(st.integers(96, 1280), STRIDES)
def test_elsewhere_they_are_those_of_training_at_the_same_distance_from_a_border(
    side: int, stride: int
) -> None:
    """From the right the fields' phase is that of training, so whole cells can be compared."""
    drawn, fields = draw_in(300, stride), fields_px(side, stride)
    centres = centres_px(300, side, stride)
    assert len(centres) == len(fields) == -(-side // stride)
    assert torch.all(fields.diff() == stride)
    if len(centres) == 1:
        assert centres.tolist() == [side / 2]
        return
    assert torch.all(centres.diff() > 0)
    shift = centres - fields
    far = (fields >= drawn.middle) & (side - 0.5 - fields >= drawn.reach)
    torch.testing.assert_close(shift[far], torch.full_like(shift[far], drawn.shift))
    if drawn.cells > 1 and side > 300 + stride:
        trained = centres_px(300, 300, stride) - fields_px(300, stride)
        half = drawn.cells // 2
        torch.testing.assert_close(shift[-half:], trained[-half:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [95, 96, 97, 104, 111, 127, 128])
def test_centres_follow_the_true_receptive_fields(side: int) -> None:
    """Which pixels reach a cell of stride 16, by gradient, where no border cuts its field."""
    row = torch.zeros(1, 1, 1, side, requires_grad=True)
    y = row
    for _ in range(4):
        conv = SameConv2d(1, 1, 3, 2)
        torch.nn.init.ones_(conv.weight)
        y = conv(y)
    fields = fields_px(side, 16)
    checked = 0
    for i, centre in enumerate(fields.tolist()):
        (gradient,) = torch.autograd.grad(y[0, 0, 0, i], row, retain_graph=True)
        pixels = gradient.flatten().nonzero().flatten()
        if pixels[0] > 0 and pixels[-1] < side - 1:
            assert (pixels[0] + pixels[-1] + 1).item() / 2 == centre
            checked += 1
    assert checked >= 3


@given(STRIDES)
def test_the_mean_shift_is_the_mean_distance_of_the_two_grids(stride: int) -> None:
    shift = centres_px(300, 300, stride) - fields_px(300, stride)
    assert shift.mean().item() == pytest.approx(draw_in(300, stride).shift, abs=1e-4)


def test_best_ious_are_those_of_the_best_anchor() -> None:
    anchors = cxcywh_to_xyxy(anchors_cxcywh(ssd_spec(), (300, 200)))
    chosen = torch.arange(0, len(anchors), 7)  # more than are compared at a time
    boxes = anchors[chosen].clone()
    boxes[::2, 2] -= (boxes[::2, 2] - boxes[::2, 0]) * 0.1  # a tenth narrower: IoU 0.9 or better
    best = best_ious(ssd_spec(), (300, 200), boxes)
    torch.testing.assert_close(best[1::2], torch.ones(len(boxes) // 2))
    assert best[::2].min() > 0.8999
    assert best[::2].max() < 1
    assert best_ious(ssd_spec(), (96, 96), boxes[:0]).shape == (0,)
    far = torch.tensor([[0.001, 0.001, 0.002, 0.002]])  # no anchor is so small
    assert best_ious(ssd_spec(), (300, 300), far) < 1e-3


def test_no_offset_gives_the_anchor() -> None:
    anchors = anchors_cxcywh(ssd_spec(), (300, 300))
    boxes = decode(torch.zeros(2, len(anchors), 4), anchors)
    assert boxes.shape == (2, len(anchors), 4)
    torch.testing.assert_close((boxes[1, :, :2] + boxes[1, :, 2:]) / 2, anchors[:, :2])
    torch.testing.assert_close(boxes[1, :, 2:] - boxes[1, :, :2], anchors[:, 2:])


def test_offsets_are_tenths_of_the_anchor_and_fifths_of_a_logarithm() -> None:
    anchor = torch.tensor([[50.0, 60.0, 20.0, 40.0]])
    right = decode(torch.tensor([[[10.0, 0, 0, 0]]]), anchor)
    assert right.tolist() == [[[60.0, 40.0, 80.0, 80.0]]]  # by one width
    down = decode(torch.tensor([[[0, 10.0, 0, 0]]]), anchor)
    assert down.tolist() == [[[40.0, 80.0, 60.0, 120.0]]]  # by one height
    double = decode(torch.tensor([[[0, 0, 5 * torch.log(torch.tensor(2.0)), 0]]]), anchor)
    torch.testing.assert_close(double, torch.tensor([[[30.0, 40.0, 70.0, 80.0]]]))


@given(st.lists(st.floats(0.0625, 0.9375), min_size=8, max_size=8), st.floats(-3, 3))
def test_decoding_inverts_the_papers_encoding(values: list[float], shift: float) -> None:
    box, anchor = torch.tensor(values, dtype=torch.float64).split(4)
    box = torch.cat([box[:2] + shift, box[2:]])  # cxcywh, anywhere
    offsets = torch.cat(
        [(box[:2] - anchor[:2]) / anchor[2:] / 0.1, torch.log(box[2:] / anchor[2:]) / 0.2]
    )
    expected = torch.cat([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2])
    torch.testing.assert_close(decode(offsets[None, None], anchor[None])[0, 0], expected)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_moving_the_anchors_moves_the_boxes(dx: float, dy: float) -> None:
    anchors = anchors_cxcywh(ssd_spec(), (96, 96)).double()
    offsets = torch.randn(1, len(anchors), 4, generator=torch.Generator().manual_seed(0)).double()
    moved = decode(offsets, anchors + torch.tensor([dx, dy, 0, 0]))
    torch.testing.assert_close(moved, decode(offsets, anchors) + torch.tensor([dx, dy, dx, dy]))
