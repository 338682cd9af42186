"""The few layers every MobileNet is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# TensorFlow's batch norm uses this epsilon, and the weights we start from were trained with it.
BN_EPS = 1e-3


def scale_channels(channels: int, alpha: float, divisor: int = 8) -> int:
    """Channels under the width multiplier `alpha`, rounded to a multiple of `divisor`.

    Halves round up. Never loses more than 10 % of the channels, and never goes below `divisor`
    (MobileNetV1, section 3.3; the rounding is that of the authors' MobileNetV2 code).
    """
    wanted = channels * alpha
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


class SameConv2d(nn.Conv2d):
    """A 1x1 or 3x3 convolution with TensorFlow's SAME padding: output side = ceil(side / stride).

    With stride 2 the padding depends on the side: an even one is padded by 0 before and 1 after,
    an odd one by 1 and 1. In an ONNX export it becomes `auto_pad = SAME_UPPER`, so that the same
    file serves every input size.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        assert kernel in (1, 3)
        assert stride in (1, 2)
        super().__init__(c_in, c_out, kernel, stride, 0, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if torch.onnx.is_in_onnx_export():
            return self._onnx(x)
        if kernel == 1:
            return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)
        h_odd, w_odd = x.shape[-2] % 2, x.shape[-1] % 2
        if stride == 1 or (h_odd and w_odd):  # symmetric: the convolution pads by itself, no copy
            return F.conv2d(x, self.weight, self.bias, self.stride, 1, 1, self.groups)
        x = F.pad(x, (w_odd, 1, h_odd, 1))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _onnx(self, x: Tensor) -> Tensor:
        """The same as one ONNX Conv node; torch's own exporter would write this size's padding."""
        stride = self.stride[0]
        n, _, h, w = x.shape
        return torch.onnx.ops.symbolic(
            "Conv",
            [x, self.weight] if self.bias is None else [x, self.weight, self.bias],
            {
                "auto_pad": "SAME_UPPER",
                "group": self.groups,
                "kernel_shape": list(self.kernel_size),
                "strides": list(self.stride),
            },
            dtype=x.dtype,
            shape=(n, self.out_channels, -(-h // stride), -(-w // stride)),
            version=1,
        )


class ConvBN(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, ReLU6.

    A linear one projects into a narrow space, where ReLU would destroy information
    (MobileNetV2, section 3.2).
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(c_in, c_out, kernel, stride, groups)
        self.bn: nn.Module = nn.BatchNorm2d(c_out, eps=BN_EPS)
        self.act = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


def depthwise(channels: int, stride: int = 1) -> ConvBN:
    """One 3x3 filter per channel (MobileNetV1, section 3.1)."""
    return ConvBN(channels, channels, 3, stride, groups=channels)
