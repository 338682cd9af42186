"""MobileNetV4-Conv-Small (Qin et al. 2024, "MobileNetV4"), its plan read from timm (optional)."""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor, nn

from detector.errors import DetectorError
from detector.model.layers import Backbone, ConvBN, Widening, scale_channels, tapped

TIMM_NAME = "mobilenetv4_conv_small"


def timm() -> Any:
    """The timm package; DetectorError with the line that installs it."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise DetectorError(
            f"this network needs timm, which cannot be imported ({error}); "
            "install it: pip install 'mobilenet-ssd[v4]'"
        ) from error


class UniversalInvertedBottleneck(Widening):
    """V2's inverted residual with an optional depthwise before the expansion (section 4).

    The depthwise inside it is optional too. residual: add the input.
    """

    def __init__(
        self, start: nn.Module, expand: nn.Module, middle: nn.Module, project: nn.Module
    ) -> None:
        super().__init__()
        self.start, self.expand = start, expand
        self.middle, self.project = middle, project
        self.residual = False

    def widen(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_wide, H, W)."""
        y: Tensor = self.expand(self.start(x))
        return y

    def finish(self, x: Tensor, wide: Tensor) -> Tensor:
        """The block from its expanded features `wide` on."""
        y: Tensor = self.project(self.middle(wide))
        return x + y if self.residual else y


class MobileNetV4(Backbone):
    """The expansion of the first block of stride 32 (576 channels), and the last 1x1 (960).

    As V2 and V3 do it. timm says what the layers are; they are built of our own, which pad by the
    rule of `SameConv2d` and follow any `alpha`. Raises DetectorError where timm is not installed.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        plan: Any = timm().create_model(TIMM_NAME, pretrained=False)
        self.stem = _layer(plan.conv_stem, plan.bn1, alpha)
        layers: list[nn.Module] = []
        for block in (block for stage in plan.blocks for block in stage):
            if not hasattr(block, "pw_exp"):
                layers.append(_layer(block.conv, block.bn1, alpha))
                continue
            parts = (block.dw_start, block.pw_exp, block.dw_mid, block.pw_proj)
            ours = UniversalInvertedBottleneck(
                *(_layer(p.conv, p.bn, alpha) if hasattr(p, "conv") else p for p in parts)
            )
            ours.residual = block.has_skip
            layers.append(ours)
        self.layers = nn.ModuleList(layers)
        halving = [
            i
            for i, layer in enumerate(layers)
            if any(isinstance(m, nn.Conv2d) and m.stride == (2, 2) for m in layer.modules())
        ]
        self.tap = halving[-1]
        wide, last = layers[self.tap], layers[-1]
        assert isinstance(wide, UniversalInvertedBottleneck)
        assert isinstance(wide.expand, ConvBN)
        assert isinstance(last, ConvBN)
        self.out_channels = (wide.expand.conv.out_channels, last.conv.out_channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> the maps of stride 16 and 32, sides rounded up."""
        return [*tapped(self.layers, self.tap, self.stem(images))]


def _layer(conv: nn.Conv2d, bn: nn.Module, alpha: float) -> ConvBN:
    """Our layer for timm's convolution and batch norm (which holds the activation), random."""
    c_in, c_out = (
        c if c == 3 else scale_channels(c, alpha) for c in (conv.in_channels, conv.out_channels)
    )
    act = bn.act
    assert isinstance(act, (nn.ReLU, nn.Identity))
    return ConvBN(
        c_in,
        c_out,
        conv.kernel_size[0],
        conv.stride[0],
        groups=c_out if conv.groups > 1 else 1,
        linear=isinstance(act, nn.Identity),
        act=nn.ReLU,
    )
