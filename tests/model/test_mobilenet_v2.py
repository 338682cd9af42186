"""MobileNetV2's shape: the paper's table, the two maps it hands on, and its shortcuts."""

from __future__ import annotations

import pytest
import torch

from detector.model.mobilenet_v2 import InvertedResidual, MobileNetV2


def narrow_channels(model: MobileNetV2) -> list[int]:
    return [block.project.conv.out_channels for block in model.blocks]


def test_full_width_is_the_papers_table() -> None:
    model = MobileNetV2()
    assert narrow_channels(model) == (
        [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    )
    assert model.out_channels == (576, 1280)  # six times 96, and the last convolution
    # torchvision's mobilenet_v2 has as many without its classifier (3,504,872 - 1,281,000).
    assert sum(p.numel() for p in model.parameters()) == 2_223_872


@pytest.mark.parametrize(
    ("alpha", "out_channels"),
    [(0.25, (144, 320)), (0.35, (192, 448)), (0.5, (288, 640)), (0.75, (432, 960))],
)
def test_every_layer_follows_the_width(alpha: float, out_channels: tuple[int, int]) -> None:
    model = MobileNetV2(alpha)
    assert model.out_channels == out_channels
    assert all(channels % 8 == 0 for channels in narrow_channels(model))


@pytest.mark.parametrize("size_hw", [(300, 300), (97, 160), (33, 1)])
def test_maps_have_strides_16_and_32(size_hw: tuple[int, int]) -> None:
    model = MobileNetV2(0.25).eval()
    with torch.no_grad():
        maps = model(torch.zeros(2, 3, *size_hw))
    for x, channels, stride in zip(maps, model.out_channels, model.strides, strict=True):
        assert x.shape == (2, channels, *(-(-side // stride) for side in size_hw))


def test_the_first_map_is_the_expansion_that_leaves_stride_16() -> None:
    model = MobileNetV2(0.25).eval()
    block = model.blocks[model.tap]
    seen: list[torch.Tensor] = []
    block.expand.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        first, _ = model(torch.rand(1, 3, 64, 64))
    assert block.depthwise.conv.stride == (2, 2)
    assert torch.equal(first, seen[0])


def test_a_block_whose_projection_is_zero_hands_its_input_on() -> None:
    block = InvertedResidual(8, 8, stride=1, expansion=6).eval()
    torch.nn.init.zeros_(block.project.bn.weight)
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        assert torch.equal(block(x), x)


@pytest.mark.parametrize(("c_out", "stride"), [(16, 1), (8, 2)])
def test_no_shortcut_where_shapes_differ(c_out: int, stride: int) -> None:
    block = InvertedResidual(8, c_out, stride, expansion=6).eval()
    torch.nn.init.zeros_(block.project.bn.weight)
    with torch.no_grad():
        assert not block(torch.randn(1, 8, 6, 6)).any()
