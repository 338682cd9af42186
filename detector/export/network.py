"""The network as it is shipped: batch norms fused, and with the interface of an `Order`."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detector.export.interface import Order
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import images_to_input
from detector.model.layers import ConvBN
from detector.model.ssdlite import SSDLite


def fused(model: SSDLite) -> SSDLite:
    """A copy in eval mode whose batch norms are folded into their convolutions."""
    model = copy.deepcopy(model).eval()
    for layer in model.modules():
        if isinstance(layer, ConvBN) and isinstance(layer.bn, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
            layer.bn = nn.Identity()
    return model


def bgr_first(model: SSDLite) -> None:
    """Let a network of RGB take BGR, in place: its first filters swapped, and not every frame."""
    stem = next(m for m in model.backbone.modules() if isinstance(m, nn.Conv2d))
    stem.weight = nn.Parameter(stem.weight.flip(1))


class Heads(nn.Module):
    """Frame or tensor in, logits and offsets out, of any size; `model` is copied."""

    def __init__(self, order: Order) -> None:
        super().__init__()
        self.takes_frames = order.input == "frame"
        self.model = fused(order.model)
        if self.takes_frames:
            bgr_first(self.model)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1, A, K) and offsets (1, A, 4) of a frame or tensor as the order says.

        See `detector.export.interface` for their shapes and ranges.
        """
        x = images_to_input(x.permute(0, 3, 1, 2)) if self.takes_frames else x * 2 - 1
        logits, offsets = self.model(x)
        return logits, offsets


class Shipped(nn.Module):
    """All of an order but NMS, at its one size. planar: frames are float32 (1, 3, H, W) BGR."""

    anchors: Tensor

    def __init__(self, order: Order, *, planar: bool = False) -> None:
        super().__init__()
        self.heads = Heads(order)
        self.raw = order.outputs == "raw"
        self.planar = planar and order.input == "frame"
        anchors = anchors_cxcywh(order.model.anchors, (order.size, order.size))
        self.register_buffer("anchors", anchors)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-> boxes (1, A, 4), scores (1, A, K), or for outputs "raw" logits and offsets."""
        logits, offsets = self.heads.model(images_to_input(x)) if self.planar else self.heads(x)
        if self.raw:
            return logits, offsets
        return decode(offsets, self.anchors), logits.sigmoid()


def example(order: Order, *, planar: bool = False) -> Tensor:
    """An input of an order's shape and type, all zeros, to trace a network with."""
    side = order.size
    if order.input == "frame" and not planar:
        return torch.zeros(1, side, side, 3, dtype=torch.uint8)
    return torch.zeros(1, 3, side, side)
