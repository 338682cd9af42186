"""MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3")."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detector.model.layers import Backbone, ConvBN, SameConv2d, Widening, scale_channels, tapped

Size = Literal["large", "small"]

# Tables 1 and 2 of the paper: kernel, expansion, output channels, squeeze-and-excite, hard-swish
# (else ReLU), stride.
BLOCKS: dict[Size, list[tuple[int, int, int, bool, bool, int]]] = {
    "large": [
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),  # its expansion is C4
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    ],
    "small": [
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),  # its expansion is C4
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    ],
}


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole map holds (section 5.3): a factor in 0..1.

    The squeeze has a quarter of the channels; the gate is the hard sigmoid ReLU6(x + 3) / 6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scale_channels(channels // 4, 1)
        self.squeeze = SameConv2d(channels, squeezed, bias=True)
        self.relu = nn.ReLU()
        self.excite = SameConv2d(squeezed, channels, bias=True)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        y: Tensor = x * self.gate(self.excite(self.relu(self.squeeze(mean))))
        return y


class Block(Widening):
    """V2's inverted residual with a kernel, an activation and an optional squeeze of its own.

    wide: expanded channels; without `expand` the input has as many. residual: add the input.
    """

    def __init__(
        self,
        c_in: int,
        wide: int,
        c_out: int,
        *,
        kernel: int,
        stride: int,
        squeeze: bool,
        act: type[nn.Module],
        expand: bool,
        residual: bool,
    ) -> None:
        super().__init__()
        self.expand = ConvBN(c_in, wide, act=act) if expand else nn.Identity()
        self.depthwise = ConvBN(wide, wide, kernel, stride, groups=wide, act=act)
        self.squeeze = SqueezeExcite(wide) if squeeze else nn.Identity()
        self.project = ConvBN(wide, c_out, linear=True)
        self.residual = residual

    def widen(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, wide, H, W)."""
        y: Tensor = self.expand(x)
        return y

    def finish(self, x: Tensor, wide: Tensor) -> Tensor:
        """The block from its expanded features `wide` on."""
        y: Tensor = self.project(self.squeeze(self.depthwise(wide)))
        return x + y if self.residual else y


class MobileNetV3(Backbone):
    """C4 and C5 as section 6.3 of the paper has them.

    C4 is the expansion inside the first block of stride 32 (the 13th of Large, the 9th of Small),
    C5 the last 1x1 convolution. reduced_tail: halve all channels between them and C5's own, as in
    the rows with a dagger of table 6, since ten times fewer classes than ImageNet's need fewer.
    """

    def __init__(self, size: Size, alpha: float = 1.0, *, reduced_tail: bool = True) -> None:
        super().__init__()
        self.alpha = alpha
        divisor = 1
        nominal_in = 16
        channels = scale_channels(16, alpha)
        self.stem = ConvBN(3, channels, 3, 2, act=nn.Hardswish)
        self.blocks = nn.ModuleList()
        rows = BLOCKS[size]
        self.tap = max(i for i, row in enumerate(rows) if row[-1] == 2)
        for i, (kernel, expansion, nominal, squeeze, swish, stride) in enumerate(rows):
            wide = scale_channels(expansion // divisor, alpha)
            if i == self.tap:
                divisor, c4 = (2 if reduced_tail else 1), wide
            c_out = scale_channels(nominal // divisor, alpha)
            block = Block(
                channels,
                wide,
                c_out,
                kernel=kernel,
                stride=stride,
                squeeze=squeeze,
                act=nn.Hardswish if swish else nn.ReLU,
                expand=expansion != nominal_in,
                residual=stride == 1 and nominal == nominal_in,
            )
            self.blocks.append(block)
            nominal_in, channels = nominal, c_out
        c5 = scale_channels(6 * nominal_in // divisor, alpha)
        self.last = ConvBN(channels, c5, act=nn.Hardswish)
        self.out_channels = (c4, c5)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> C4 and C5, of stride 16 and 32, sides rounded up."""
        wide, x = tapped(self.blocks, self.tap, self.stem(images))
        return [wide, self.last(x)]
