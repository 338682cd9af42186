"""MobileNetV1 (Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks")."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detector.model.layers import Backbone, ConvBN, depthwise, scale_channels

# Table 1 of the paper: stride and output channels of its 13 separable layers, after a 3x3 stem of
# 32. The last is printed with stride 2, which would leave its 7x7 maps at 4x4: it has stride 1.
LAYERS = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)]
LAYERS += [(1, 512)] * 5  # the five that the shallow variant leaves out (section 4.1)
LAYERS += [(2, 1024), (1, 1024)]

Variant = Literal["", "shallow", "full"]


class Separable(nn.Module):
    """Filter each channel, then mix them by 1x1; batch norm and ReLU6 after both (figure 3)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = depthwise(c_in, stride)
        self.pointwise = ConvBN(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class MobileNetV1(Backbone):
    """The last layer of stride 16 (layer 11, 512 channels) and the last of all (13, 1024).

    TensorFlow's SSD reads these two (`Conv2d_11_pointwise`, `Conv2d_13_pointwise`); the paper names
    none. variant: "shallow" lacks the five equal layers of 512 (table 5), "full" has plain 3x3
    convolutions in place of separable ones (table 4).
    """

    def __init__(self, alpha: float = 1.0, variant: Variant = "") -> None:
        super().__init__()
        self.alpha = alpha
        channels = scale_channels(32, alpha)
        self.stem = ConvBN(3, channels, 3, 2)
        self.layers = nn.ModuleList()
        total = 2  # stride so far
        for stride, nominal in LAYERS[:6] + LAYERS[11:] if variant == "shallow" else LAYERS:
            c_out = scale_channels(nominal, alpha)
            if total == 16 and stride == 2:
                self.tap, tapped = len(self.layers) - 1, channels  # the layer before this one
            self.layers.append(
                ConvBN(channels, c_out, 3, stride)
                if variant == "full"
                else Separable(channels, c_out, stride)
            )
            channels = c_out
            total *= stride
        self.out_channels = (tapped, channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> the maps of stride 16 and 32, sides rounded up."""
        x = self.stem(images)
        tapped = x
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == self.tap:
                tapped = x
        return [tapped, x]
