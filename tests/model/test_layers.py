"""The width rule, and SAME padding against a slow convolution that pads as TensorFlow documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.model.layers import ConvBN, SameConv2d, SameMaxPool2d, depthwise, scale_channels

# The channels of MobileNetV2's stem and seven stages at each width its authors published.
PUBLISHED = {
    0.35: [16, 8, 8, 16, 24, 32, 56, 112],
    0.5: [16, 8, 16, 16, 32, 48, 80, 160],
    0.75: [24, 16, 24, 24, 48, 72, 120, 240],
    1.0: [32, 16, 24, 32, 64, 96, 160, 320],
    1.4: [48, 24, 32, 48, 88, 136, 224, 448],
}


@pytest.mark.parametrize("alpha", PUBLISHED)
def test_width_gives_the_authors_channels(alpha: float) -> None:
    assert [scale_channels(c, alpha) for c in PUBLISHED[1.0]] == PUBLISHED[alpha]


def test_width_never_loses_a_tenth_and_keeps_the_least() -> None:
    assert scale_channels(16, 0.25) == 8  # wants 4, but the least is 8
    assert scale_channels(24, 0.25) == 8  # wants 6
    assert scale_channels(44, 0.25) == 16  # wants 11: 8 would lose more than a tenth
    assert scale_channels(12, 1.0) == 16  # halves go up


@given(st.integers(1, 4096), st.floats(0.05, 4), st.sampled_from([4, 8, 16]))
def test_width_is_a_near_multiple(channels: int, alpha: float, divisor: int) -> None:
    got = scale_channels(channels, alpha, divisor)
    assert got % divisor == 0
    assert got >= divisor
    assert got >= 0.9 * channels * alpha
    assert got <= max(divisor, channels * alpha + divisor)


def slow_same_conv(x: np.ndarray, weight: np.ndarray, stride: int, groups: int) -> np.ndarray:
    """TensorFlow's rule: out = ceil(side / stride); what padding that needs, the odd pixel after.

    x: (C_in, H, W). weight: (C_out, C_in / groups, k, k).
    """
    c_out, per_group, k, _ = weight.shape
    (h, w), padded = x.shape[1:], x
    out_h, out_w = -(-h // stride), -(-w // stride)
    for axis, side, out in ((1, h, out_h), (2, w, out_w)):
        total = max((out - 1) * stride + k - side, 0)
        pads = [(0, 0)] * 3
        pads[axis] = (total // 2, total - total // 2)
        padded = np.pad(padded, pads)
    y = np.zeros((c_out, out_h, out_w))
    for o in range(c_out):
        first = o * groups // c_out * per_group
        for i in range(out_h):
            for j in range(out_w):
                top, left = i * stride, j * stride
                window = padded[first : first + per_group, top : top + k, left : left + k]
                y[o, i, j] = (window * weight[o]).sum()
    return y


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(
    "side_hw", [(6, 6), (7, 7), (6, 7), (7, 6), (1, 1), (2, 1), (1, 2), (3, 8)]
)
def test_same_conv_pads_as_tensorflow(
    side_hw: tuple[int, int], kernel: int, stride: int, groups: int
) -> None:
    rng = np.random.default_rng(0)
    conv = SameConv2d(4, 8, kernel, stride, groups).double()
    x = rng.normal(size=(4, *side_hw))
    expected = slow_same_conv(x, conv.weight.detach().numpy(), stride, groups)
    with torch.no_grad():
        got = conv(torch.from_numpy(x)[None])[0].numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("side_hw", [(6, 6), (7, 7), (6, 7), (1, 1), (2, 1), (3, 8)])
def test_same_max_pool_reads_what_a_same_conv_does(side_hw: tuple[int, int]) -> None:
    """The maximum over the pixels that a filter of ones of the same size would add up."""
    x = -torch.rand(2, 1, *side_hw).double() - 1  # negative: padding by zeros would win
    conv = SameConv2d(1, 1, 3, 2).double()
    torch.nn.init.ones_(conv.weight)
    got = SameMaxPool2d()(x)
    for value, index in zip(x.flatten(1).T, range(x[0].numel()), strict=True):
        one = torch.zeros_like(x).flatten(1)
        one[:, index] = 1
        with torch.no_grad():
            reached = conv(one.view_as(x)) > 0
        assert torch.all(got[reached] >= value[:, None].expand(2, reached[0].sum()).flatten())
    assert torch.all(torch.isin(got, x))
    assert got.shape == (2, 1, *(-(-side // 2) for side in side_hw))


def test_same_conv_adds_its_bias() -> None:
    conv = SameConv2d(2, 3, bias=True)
    assert conv.bias is not None
    with torch.no_grad():
        torch.testing.assert_close(conv(torch.zeros(1, 2, 4, 4))[0, :, 1, 2], conv.bias)


def test_a_linear_layer_lets_negatives_and_large_values_through() -> None:
    x = torch.tensor([-9.0, 3.0, 9.0]).reshape(1, 1, 1, 3)
    plain, linear = ConvBN(1, 1).eval(), ConvBN(1, 1, linear=True).eval()
    for layer in (plain, linear):
        layer.conv.weight.data.fill_(1)
    with torch.no_grad():
        assert plain(x).flatten().tolist() == pytest.approx([0, 3, 6], abs=0.01)
        assert linear(x).flatten().tolist() == pytest.approx([-9, 3, 9], abs=0.01)


def test_depthwise_keeps_channels_apart() -> None:
    layer = depthwise(3, stride=2).eval()
    x = torch.zeros(1, 3, 8, 8)
    x[:, 1] = 1
    with torch.no_grad():
        y = layer(x) - layer(torch.zeros_like(x))
    assert y.shape == (1, 3, 4, 4)
    assert not y[:, [0, 2]].any()


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_held_norm_in_the_convolution_is_the_norm_after_it(stride: int, linear: bool) -> None:
    """In the result, and in what weights, scale, shift and input learn from it."""
    torch.manual_seed(stride)
    layer = ConvBN(4, 6, 3, stride, linear=linear).double()
    for values in (layer.bn.weight, layer.bn.bias, layer.bn.running_mean, layer.bn.running_var):
        values.data.uniform_(0.1, 3)
    x = torch.randn(2, 4, 7, 6).double().requires_grad_()
    layer.bn.eval()
    learnt = (x, *layer.parameters())

    seen: list[object] = []
    layer.bn.register_forward_hook(lambda *given: seen.append(given))

    def result() -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        y = layer(x)
        return y.detach(), torch.autograd.grad(
            (y * torch.linspace(-1, 2, y.numel()).view_as(y)).sum(), learnt
        )

    folded, grads = result()
    assert not seen
    layer.training = False
    apart, expected = result()
    torch.testing.assert_close(folded, apart)
    assert len(seen) == 1
    torch.testing.assert_close(grads, expected)


def test_a_held_depthwise_layer_learns_in_bfloat16_as_in_float32() -> None:
    """Scaled filters, a shift, and the gradient of our own at stride 2, all at once."""
    torch.manual_seed(0)
    layer = depthwise(16, stride=2)
    layer.bn.running_var.uniform_(0.5, 2)
    layer.bn.eval()
    x = torch.randn(4, 16, 9, 12).to(memory_format=torch.channels_last).requires_grad_()

    def gradients(bfloat16: bool) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            y = layer(x)
        return torch.autograd.grad(y.float().square().sum(), (x, *layer.parameters()))

    for mine, exact in zip(gradients(True), gradients(False), strict=True):
        assert (mine - exact).norm() <= 0.03 * exact.norm()


def test_a_norm_that_learns_stays_apart() -> None:
    layer = ConvBN(2, 2)
    before = layer.bn.running_mean.clone()
    layer(torch.randn(4, 2, 3, 3) + 5)
    assert not torch.equal(layer.bn.running_mean, before)
