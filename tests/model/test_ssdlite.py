"""The detector network: how many numbers, of what shape, in which order."""

from __future__ import annotations

import pytest
import torch

from detector.model.anchors import anchors_cxcywh
from detector.model.ssdlite import Predictor, ssdlite_mobilenet_v2


def count(num_classes: int, alpha: float = 1.0) -> int:
    model = ssdlite_mobilenet_v2(num_classes, alpha)
    return sum(p.numel() for p in model.parameters())


def test_parameter_count_is_the_papers() -> None:
    # Table 6 says 4.3 M. A class costs 16,353 numbers: the 80 of COCO alone, as here, with the
    # background that the paper's softmax needs, and TensorFlow's 91 columns, of which 11 are idle.
    assert count(80) == 4_320_660
    assert count(81) == 4_337_013
    assert count(91) == 4_500_543


@pytest.mark.parametrize(
    ("alpha", "parameters"),
    [(0.25, 564_324), (0.35, 895_300), (0.5, 1_471_988), (0.75, 2_729_924), (1.4, 7_603_284)],
)
def test_parameter_count_follows_the_width(alpha: float, parameters: int) -> None:
    assert count(80, alpha) == parameters


@pytest.mark.parametrize("size_hw", [(300, 300), (96, 96), (301, 512), (97, 640), (384, 160)])
def test_one_row_per_anchor_at_any_size(size_hw: tuple[int, int]) -> None:
    model = ssdlite_mobilenet_v2(3, 0.25).eval()
    with torch.no_grad():
        logits, offsets = model(torch.zeros(2, 3, *size_hw))
    rows = len(anchors_cxcywh(model.anchors, size_hw))
    assert logits.shape == (2, rows, 3)
    assert offsets.shape == (2, rows, 4)


def test_a_predictor_writes_row_column_shape_value() -> None:
    height, width, per_cell, values = 2, 3, 4, 5
    head = Predictor(1, per_cell, values).eval()
    head.depthwise.conv.weight.data.zero_()
    head.depthwise.conv.weight.data[..., 1, 1] = (1 + 1e-3) ** 0.5  # what batch norm divides by
    head.predict.weight.data.fill_(1)
    assert head.predict.bias is not None
    head.predict.bias.data = torch.arange(per_cell * values) * 10.0
    cells = torch.arange(height * width).reshape(1, 1, height, width) / 2
    with torch.no_grad():
        got = head(cells)[0].reshape(height, width, per_cell, values)
    for r, c, a, v in [(0, 0, 0, 0), (0, 2, 1, 3), (1, 0, 3, 4), (1, 2, 2, 0)]:
        expected = (r * width + c) / 2 + 10 * (a * values + v)
        assert got[r, c, a, v].item() == pytest.approx(expected, rel=1e-5)


def test_every_parameter_is_trained() -> None:
    model = ssdlite_mobilenet_v2(2, 0.25).train()
    logits, offsets = model(torch.randn(2, 3, 128, 128))
    (logits.square().sum() + offsets.square().sum()).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_pictures_of_a_batch_do_not_mix() -> None:
    model = ssdlite_mobilenet_v2(2, 0.25).eval()
    pictures = torch.rand(2, 3, 96, 128) * 2 - 1
    with torch.no_grad():
        both, second = model(pictures)[0], model(pictures[1:])[0]
    assert not torch.allclose(both[0], both[1])
    torch.testing.assert_close(both[1], second[0], atol=1e-5, rtol=1e-4)
