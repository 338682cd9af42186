"""Result and gradient against torch's own, and in bfloat16 where oneDNN's gradient is wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from detector.model.layers import SameConv2d
from detector.model.strided_depthwise import StridedDepthwise, same_padding

SIDES = [(6, 6), (7, 7), (6, 7), (1, 1), (2, 1), (3, 8), (19, 19), (38, 75)]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", SIDES)
def test_it_is_torchs_convolution(side: tuple[int, int], kernel: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *side).double().requires_grad_()
    weight = torch.randn(3, 1, kernel, kernel).double().requires_grad_()
    bias = torch.randn(3).double().requires_grad_()
    mine = StridedDepthwise.apply(x, weight, bias)
    theirs = F.conv2d(F.pad(x, same_padding(x, kernel // 2)), weight, bias, 2, 0, 1, 3)
    torch.testing.assert_close(mine, theirs)
    weights = torch.randn_like(mine)
    learnt = (x, weight, bias)
    grads = torch.autograd.grad((mine * weights).sum(), learnt)
    torch.testing.assert_close(grads, torch.autograd.grad((theirs * weights).sum(), learnt))


def test_without_bias_and_for_pictures_that_learn_nothing() -> None:
    x, weight = torch.randn(1, 2, 5, 5), torch.randn(2, 1, 3, 3, requires_grad=True)
    StridedDepthwise.apply(x, weight, None).sum().backward()
    assert weight.grad is not None
    assert x.grad is None


@pytest.mark.parametrize("groups", [16, 1])
@pytest.mark.parametrize("side", SIDES)
def test_a_layer_learns_in_bfloat16_as_in_float32(side: tuple[int, int], groups: int) -> None:
    """Over and over, since oneDNN's gradient of 1x1 maps is what lay in memory before."""
    layer = SameConv2d(16, 16, 3, 2, groups=groups)
    for seed in range(5):
        torch.manual_seed(seed)
        x = torch.randn(4, 16, *side).to(memory_format=torch.channels_last).requires_grad_()
        got, expected = _gradients(layer, x, True), _gradients(layer, x, False)
        for mine, theirs in zip(got, expected, strict=True):
            assert (mine - theirs).norm() <= 0.02 * theirs.norm()


@pytest.mark.parametrize(("groups", "ours"), [(16, True), (1, False)])
def test_it_is_used_where_it_is_needed(groups: int, ours: bool) -> None:
    layer, x = SameConv2d(16, 16, 3, 2, groups=groups), torch.randn(1, 16, 5, 5)
    assert "Strided" not in str(layer(x).grad_fn)
    with torch.autocast("cpu", torch.bfloat16):
        assert ("Strided" in str(layer(x).grad_fn)) == ours
        with torch.no_grad():
            assert layer(x).grad_fn is None


def _gradients(layer: SameConv2d, x: Tensor, bfloat16: bool) -> tuple[Tensor, ...]:
    litter = [torch.full((2**bits,), 1e30) for bits in range(6, 18)]
    del litter  # which the next tensors lie on
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        y = layer(x)
    assert y.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
    return y.detach().float(), *torch.autograd.grad(y.float().square().sum(), (x, layer.weight))
