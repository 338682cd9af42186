"""SSD on any backbone: six feature maps, and predictors on each.

SSDLite is SSD's head in depthwise separable convolutions (MobileNetV2, section 6.2); the plain
head, in full 3x3 convolutions, is here to compare with.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from detector.model.anchors import AnchorSpec, ssd_spec
from detector.model.layers import Backbone, ConvBN, SameConv2d, depthwise, scale_channels
from detector.model.mobilenet_v2 import MobileNetV2

# Output channels of the four maps added behind the backbone; each is squeezed to half first. The
# width multiplier scales them with the backbone, as TensorFlow's and torchvision's detectors do.
EXTRA_CHANNELS = (512, 256, 256, 128)

Head = Literal["ssdlite", "ssd"]
HEADS: tuple[Head, ...] = get_args(Head)


class ExtraMap(nn.Module):
    """Halve the map: squeeze to half the channels, filter depthwise at stride 2, expand."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.squeeze = ConvBN(c_in, c_out // 2)
        self.depthwise = depthwise(c_out // 2, stride=2)
        self.expand = ConvBN(c_out // 2, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / 2), ceil(W / 2))."""
        y: Tensor = self.expand(self.depthwise(self.squeeze(x)))
        return y


class Predictor(nn.Module):
    """`values` numbers for each of `per_cell` anchors of one map, by a 3x3 depthwise and a 1x1."""

    def __init__(self, channels: int, per_cell: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.depthwise = depthwise(channels)
        self.predict = SameConv2d(channels, per_cell * values, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, H * W * per_cell, values)."""
        y: Tensor = self.predict(self.depthwise(x))
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, self.values)


class PlainExtraMap(nn.Module):
    """Halve the map as SSD does: 1x1 to half the channels, full 3x3 at stride 2."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.squeeze = ConvBN(c_in, c_out // 2)
        self.expand = ConvBN(c_out // 2, c_out, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / 2), ceil(W / 2))."""
        y: Tensor = self.expand(self.squeeze(x))
        return y


class PlainPredictor(nn.Module):
    """`values` numbers for each of `per_cell` anchors of one map, by a full 3x3 (SSD, 2.1)."""

    def __init__(self, channels: int, per_cell: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.predict = SameConv2d(channels, per_cell * values, 3, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, H * W * per_cell, values)."""
        y: Tensor = self.predict(x)
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, self.values)


class SSDLite(nn.Module):
    """A backbone, four more maps, and a class and a box predictor on each of the six.

    num_classes: K independent sigmoids; there is no background class. anchors: shapes for each of
    the six maps, default the COCO models'; the network only needs how many there are per cell.
    head: "ssdlite", or "ssd" for full convolutions behind the backbone.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        anchors: AnchorSpec | None = None,
        head: Head = "ssdlite",
    ) -> None:
        super().__init__()
        self.anchors = anchors or ssd_spec()
        self.num_classes = num_classes
        self.backbone = backbone
        extra, predictor = (
            (ExtraMap, Predictor) if head == "ssdlite" else (PlainExtraMap, PlainPredictor)
        )
        channels = list(backbone.out_channels)
        self.extras = nn.ModuleList()
        for nominal in EXTRA_CHANNELS:
            c_out = scale_channels(nominal, backbone.alpha, 16)  # its half is a multiple of 8
            self.extras.append(extra(channels[-1], c_out))
            channels.append(c_out)
        cells = list(zip(channels, self.anchors.per_map, strict=True))
        self.class_heads = nn.ModuleList(predictor(c, a, num_classes) for c, a in cells)
        self.box_heads = nn.ModuleList(predictor(c, a, 4) for c, a in cells)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) RGB in -1..1 -> class logits (N, A, K), box offsets (N, A, 4).

        Offsets are tx, ty, tw, th from the anchors of `anchors_cxcywh(self.anchors, (H, W))`, row
        for row; `decode` turns them into boxes.
        """
        maps = self.backbone(images)
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        logits = [head(x) for head, x in zip(self.class_heads, maps, strict=True)]
        offsets = [head(x) for head, x in zip(self.box_heads, maps, strict=True)]
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


def ssdlite_mobilenet_v2(num_classes: int, alpha: float = 1.0) -> SSDLite:
    """The network of the embedded weights, at `num_classes` = 80 and `alpha` = 1.

    4.32 M parameters, as in table 6 of the paper (4.3 M). TensorFlow's file has 4.50 M: its 91
    class columns hold a background and ten of COCO's ids that were never used.
    """
    return SSDLite(MobileNetV2(alpha), num_classes)
