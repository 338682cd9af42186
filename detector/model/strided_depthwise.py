"""A depthwise convolution at stride 2 whose gradient is as fast in bfloat16 as its result."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class StridedDepthwise(torch.autograd.Function):
    """What `F.conv2d` gives for one k x k filter a channel at stride 2 with SAME padding.

    oneDNN (torch 2.14) has no fast bfloat16 kernel for the gradient by the input at stride 2: it
    takes 8 to 25 times that of stride 1. But that gradient is a convolution at stride 1: of the
    output's gradient, with zeros in between, by the filter turned around.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(N, C, H, W), (C, 1, k, k), (C,) -> (N, C, ceil(H / 2), ceil(W / 2)); k is odd."""
        padded = F.pad(x, same_padding(x, weight.shape[-1] // 2))
        ctx.save_for_backward(padded, weight)
        ctx.side, ctx.biased = x.shape[-2:], bias is not None
        return F.conv2d(padded, weight, bias, 2, 0, 1, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient by x, weight and bias."""
        padded, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        by_x = _by_input(grad, weight, ctx.side) if ctx.needs_input_grad[0] else None
        channels = len(weight)
        _, by_weight, by_bias = torch.ops.aten.convolution_backward(
            *(grad, padded, weight, [channels], [2, 2], [0, 0], [1, 1], False, [0, 0], channels),
            [False, True, ctx.biased],
        )
        return by_x, by_weight, by_bias


def same_padding(x: Tensor, half: int) -> tuple[int, int, int, int]:
    """TensorFlow's at stride 2, (left, right, top, bottom); half: the filter's side over 2."""
    h_even, w_even = 1 - x.shape[-2] % 2, 1 - x.shape[-1] % 2
    return half - w_even, half, half - h_even, half


def _by_input(grad: Tensor, weight: Tensor, side: tuple[int, int]) -> Tensor:
    n, channels = grad.shape[:2]
    apart = grad.new_zeros((n, *side, channels)).permute(0, 3, 1, 2)  # channels last
    # Even sides are padded by one less before, so what they see lies one further.
    apart[:, :, 1 - side[0] % 2 :: 2, 1 - side[1] % 2 :: 2] = grad
    return F.conv2d(apart, weight.flip(2, 3), None, 1, weight.shape[-1] // 2, 1, channels)
