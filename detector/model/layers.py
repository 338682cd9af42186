"""The few layers every MobileNet is made of, and what a detector expects of a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detector.model.relu6 import ReLU6
from detector.model.strided_depthwise import StridedDepthwise, same_padding

# TensorFlow's batch norm uses this epsilon, and the weights we start from were trained with it.
BN_EPS = 1e-3
BN_MOMENTUM = 0.1  # torch's default


def scale_channels(channels: int, alpha: float, divisor: int = 8) -> int:
    """Channels under the width multiplier `alpha`, rounded to a multiple of `divisor`.

    Halves round up. Never loses more than 10 % of the channels, and never goes below `divisor`
    (MobileNetV1, section 3.3; the rounding is that of the authors' MobileNetV2 code).
    """
    wanted = channels * alpha
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: output side = ceil(side / stride).

    kernel: 1, 3 or 5. With stride 2 the padding depends on the side: for 3x3 an even one is padded
    by 0 before and 1 after, an odd one by 1 and 1. In an ONNX export it becomes
    `auto_pad = SAME_UPPER`, so that the same file serves every input size.
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
        assert kernel in (1, 3, 5)
        assert stride in (1, 2)
        super().__init__(c_in, c_out, kernel, stride, 0, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        return self._onnx(x) if torch.onnx.is_in_onnx_export() else self.by(x, self.weight)

    def by(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The same with these weights in place of the layer's own; the bias is added to its own."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if self.bias is not None:
            bias = self.bias if bias is None else self.bias + bias
        half = kernel // 2
        if kernel == 1 or stride == 1:
            return F.conv2d(x, weight, bias, stride, half, 1, self.groups)
        if self.groups == self.in_channels == self.out_channels and _learns_in_bfloat16(x):
            cast = [None if t is None else t.to(torch.bfloat16) for t in (x, weight, bias)]
            y: Tensor = StridedDepthwise.apply(*cast)
            return y
        if _is_symmetric(x):  # the convolution pads by itself, no copy
            return F.conv2d(x, weight, bias, stride, half, 1, self.groups)
        x = F.pad(x, same_padding(x, half))
        return F.conv2d(x, weight, bias, stride, 0, 1, self.groups)

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


def _is_symmetric(x: Tensor) -> bool:
    """Whether SAME padding at stride 2 is as wide before as after, for odd sides.

    Not said of 1x1 maps: when oneDNN pads those, its bfloat16 gradient by the weights (torch 2.14)
    is memory that nobody wrote.
    """
    return x.shape[-2] % 2 == 1 and x.shape[-1] % 2 == 1 and x.shape[-2:].numel() > 1


def _learns_in_bfloat16(x: Tensor) -> bool:
    """Whether autocast would convolve x in bfloat16, on a CPU, and a gradient may be asked for."""
    cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return cast and x.device.type == "cpu" and torch.is_grad_enabled()


class SameMaxPool2d(nn.Module):
    """3x3 maximum at stride 2 with SAME padding, as in `SameConv2d`; what is padded never wins."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2))."""
        if torch.onnx.is_in_onnx_export():
            n, c, h, w = x.shape
            return torch.onnx.ops.symbolic(
                "MaxPool",
                [x],
                {"auto_pad": "SAME_UPPER", "kernel_shape": [3, 3], "strides": [2, 2]},
                dtype=x.dtype,
                shape=(n, c, -(-h // 2), -(-w // 2)),
                version=1,
            )
        if _is_symmetric(x):
            return F.max_pool2d(x, 3, 2, 1)
        return F.max_pool2d(F.pad(x, same_padding(x, 1), value=-torch.inf), 3, 2)


class ConvBN(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, an activation, by default ReLU6.

    A linear one projects into a narrow space, where ReLU would destroy information
    (MobileNetV2, section 3.2). Batch statistics enter the running ones with a weight of 0.1,
    torch's default: half of what they remember is the last seven batches. Where training holds the
    norm still, its scale and shift go into the convolution, which saves going over the map again,
    and still learn; hooks on `conv` and `bn` do not fire then.
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
        act: Callable[[], nn.Module] = ReLU6,
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(c_in, c_out, kernel, stride, groups)
        self.bn: nn.Module = nn.BatchNorm2d(c_out, eps=BN_EPS, momentum=BN_MOMENTUM)
        self.act = nn.Identity() if linear else act()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        bn = self.bn
        if self.training and isinstance(bn, nn.BatchNorm2d) and not bn.training:
            scale, shift = _scale_and_shift(bn)
            y: Tensor = self.conv.by(x, self.conv.weight * scale[:, None, None, None], shift)
        else:
            y = bn(self.conv(x))
        activated: Tensor = self.act(y)
        return activated


def _scale_and_shift(bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm in eval mode multiplies each channel by, and then adds."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return scale, bn.bias - bn.running_mean * scale


def depthwise(channels: int, stride: int = 1) -> ConvBN:
    """One 3x3 filter per channel (MobileNetV1, section 3.1)."""
    return ConvBN(channels, channels, 3, stride, groups=channels)


class Widening(nn.Module):
    """A block that widens its input, then narrows it; a detector reads what lies between in one."""

    def widen(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_wide, H, W)."""
        raise NotImplementedError

    def finish(self, x: Tensor, wide: Tensor) -> Tensor:
        """The block from its widened features on; x: its input, for the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        return self.finish(x, self.widen(x))


def tapped(blocks: Iterable[nn.Module], tap: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run blocks one after the other: the widened features of block `tap`, and the last output."""
    wide = x
    for i, block in enumerate(blocks):
        if i == tap:
            assert isinstance(block, Widening)
            wide = block.widen(x)
            x = block.finish(x, wide)
        else:
            x = block(x)
    return wide, x


class Backbone(nn.Module):
    """Feature maps of stride 16 and 32 for an SSD head, from pictures of any size.

    Every layer pads as `SameConv2d` does, so that one rule gives the anchors' places
    (`detector.model.anchors`) for all backbones. Subclasses say which of their layers they hand on.

    alpha: the width multiplier, for what is built on top. out_channels: of the two maps.
    """

    strides = (16, 32)
    alpha: float
    out_channels: tuple[int, int]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> [(N, C1, H/16, W/16), (N, C2, H/32, W/32)], sides rounded up."""
        raise NotImplementedError
