"""ReLU6 that keeps one map for its gradient where torch keeps two."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ReLU6(nn.ReLU6):
    """min(max(x, 0), 6); in training it writes over x, which nothing else may need.

    The gradient is known from the result, which the next layer keeps anyway. torch keeps x besides,
    or a copy of it when asked to work in place.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if self.training and x.requires_grad and not x.is_leaf:
            y: Tensor = _InPlace.apply(x)
            return y
        return F.relu6(x)


class _InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        y = x.clamp_(0, 6)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        by_x: Tensor = torch.ops.aten.hardtanh_backward(grad, y, 0.0, 6.0)
        return by_x
