"""Xception (Chollet 2017, "Xception: Deep Learning with Depthwise Separable Convolutions")."""

from __future__ import annotations

from torch import Tensor, nn

from detector.model.layers import (
    Backbone,
    ConvBN,
    SameConv2d,
    SameMaxPool2d,
    Widening,
    scale_channels,
    tapped,
)

MIDDLE_BLOCKS = 8


class Separable(nn.Module):
    """Filter each channel by 3x3, mix them by 1x1, then batch norm.

    Nothing stands between the two: with a non-linearity there Xception learned slower and ended
    worse (section 4.7), where MobileNet has batch norm and ReLU6.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(c_in, c_in, 3, groups=c_in)
        self.pointwise = ConvBN(c_in, c_out, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H, W)."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Block(Widening):
    """Separable layers, ReLU before each, and a shortcut around them (figure 5).

    widths: of the input and after each layer. halve: maximum at stride 2 behind the layers and a
    1x1 of stride 2 on the shortcut. relu_first: the first block of all follows a ReLU already.
    """

    def __init__(self, widths: list[int], *, halve: bool, relu_first: bool = True) -> None:
        super().__init__()
        # Always as the wide net has it: a block that halves never hands its input on as it is.
        self.skip = ConvBN(widths[0], widths[-1], stride=2, linear=True) if halve else nn.Identity()
        layers: list[nn.Module] = []
        for i in range(len(widths) - 1):
            if i or relu_first:
                layers.append(nn.ReLU())
            layers.append(Separable(widths[i], widths[i + 1]))
        self.layers = nn.Sequential(*layers)
        self.pool = SameMaxPool2d() if halve else nn.Identity()

    def widen(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H, W)."""
        y: Tensor = self.layers(x)
        return y

    def finish(self, x: Tensor, wide: Tensor) -> Tensor:
        """The block from behind its layers on; (N, C_out, H, W), sides halved where it halves."""
        y: Tensor = self.pool(wide) + self.skip(x)
        return y


class Xception(Backbone):
    """The exit flow's first block before it halves (stride 16, 1024 channels), and its end (2048).

    The paper does not detect; these are its last layers of stride 16 and 32. All layers pad as
    `SameConv2d` does, where the paper's first two do not pad: 300 px give 19 x 19 and 10 x 10 cells
    either way.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        w32, w64, w128, w256, w728, w1024, w1536, w2048 = (
            scale_channels(c, alpha) for c in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.stem = ConvBN(3, w32, 3, 2, act=nn.ReLU)
        self.stem2 = ConvBN(w32, w64, 3, act=nn.ReLU)
        self.blocks = nn.ModuleList(
            [
                Block([w64, w128, w128], halve=True, relu_first=False),
                Block([w128, w256, w256], halve=True),
                Block([w256, w728, w728], halve=True),
                *(Block([w728] * 4, halve=False) for _ in range(MIDDLE_BLOCKS)),
            ]
        )
        self.exit = Block([w728, w728, w1024], halve=True)
        self.last = nn.Sequential(
            Separable(w1024, w1536), nn.ReLU(), Separable(w1536, w2048), nn.ReLU()
        )
        self.out_channels = (w1024, w2048)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> the maps of stride 16 and 32, sides rounded up."""
        x = self.stem2(self.stem(images))
        wide, x = tapped([*self.blocks, self.exit], len(self.blocks), x)
        return [wide, self.last(x)]
