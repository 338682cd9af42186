"""MobileNetV2 (Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks")."""

from __future__ import annotations

from torch import Tensor, nn

from detector.model.layers import Backbone, ConvBN, Widening, depthwise, scale_channels, tapped

# Table 2 of the paper: expansion t, output channels c, repeats n, stride of the first s.
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class InvertedResidual(Widening):
    """Expand by `expansion`, filter depthwise, project linearly (figure 3 and table 1).

    The shortcut joins the narrow ends, where shapes allow it; `residual` = False forbids it.
    """

    def __init__(
        self, c_in: int, c_out: int, stride: int, expansion: int, *, residual: bool = True
    ) -> None:
        super().__init__()
        wide = c_in * expansion
        self.expand = ConvBN(c_in, wide) if expansion > 1 else nn.Identity()
        self.depthwise = depthwise(wide, stride)
        self.project = ConvBN(wide, c_out, linear=True)
        self.residual = residual and stride == 1 and c_in == c_out

    def widen(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_in * expansion, H, W)."""
        y: Tensor = self.expand(x)
        return y

    def finish(self, x: Tensor, wide: Tensor) -> Tensor:
        """The block from its expanded features `wide` on."""
        y: Tensor = self.project(self.depthwise(wide))
        return x + y if self.residual else y


class MobileNetV2(Backbone):
    """Feature maps of stride 16 and 32 for an SSD head.

    The first map is the expansion inside the first block of stride 32, the second the last 1x1
    convolution (section 6.2 of the paper). `alpha` scales every layer, the last too: the paper's
    classifiers keep that one at 1280 when alpha < 1, its authors' detectors do not.

    tap: index of the block whose expansion is the first map.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        channels = scale_channels(32, alpha)
        self.stem = ConvBN(3, channels, 3, 2)
        blocks: list[InvertedResidual] = []
        stride = 2
        for t, c, n, s in STAGES:
            for i in range(n):
                if i == 0 and s == 2 and stride == 16:
                    self.tap = len(blocks)  # the block that leaves stride 16
                c_out = scale_channels(c, alpha)
                # Where the paper's widths differ there is no shortcut, even if rounding at a small
                # alpha makes them equal: a narrow net is the wide one with channels removed.
                block = InvertedResidual(channels, c_out, s if i == 0 else 1, t, residual=i > 0)
                blocks.append(block)
                channels = c_out
            stride *= s
        self.blocks = nn.ModuleList(blocks)
        last = scale_channels(1280, alpha)
        self.last = ConvBN(channels, last)
        self.out_channels = (blocks[self.tap].project.conv.in_channels, last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in -1..1 -> [(N, C1, H/16, W/16), (N, C2, H/32, W/32)], sides rounded up."""
        wide, x = tapped(self.blocks, self.tap, self.stem(images))
        return [wide, self.last(x)]
