"""Where the default boxes (anchors) stand, at any input size.

A trained head predicts offsets from anchors, so at another input size the anchors must stay where
the network learned to see them: same size in pixels, on the grid of receptive-field centres, drawn
in at the borders as training at the native size drew them (docs/resolution.md).
`detector.export.decoder` writes the same arithmetic into model files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from detector.model.boxes import cxcywh_to_xyxy, iou_matrix

# Width over height. The COCO models' configuration spells one third 0.3333.
RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
# By cells a side at the native size: how anchors grow with the input, as an exponent of its side.
# The cells of coarse maps see the borders, and the network measures by them. Chosen from nine such
# sets on COCO 2017 train at 512 px (docs/resolution.md).
GROWTH = {1: 1.0, 2: 1.0, 3: 0.5}
CHUNK = 128  # boxes compared with all anchors at a time


@dataclass(frozen=True)
class AnchorSpec:
    """The anchors of an SSD head.

    native_size: input side in pixels that the shapes refer to and the head was trained at.
    shapes_wh: for each feature map, its anchors' (width, height) as fractions of `native_size`.
    first_stride: stride of the first map in pixels; each further map doubles it.
    """

    native_size: int
    shapes_wh: tuple[tuple[tuple[float, float], ...], ...]
    first_stride: int = 16

    @property
    def per_map(self) -> list[int]:
        """Number of anchors at each cell of each map."""
        return [len(shapes) for shapes in self.shapes_wh]


def ssd_spec(
    native_size: int = 300, maps: int = 6, low: float = 0.2, high: float = 0.95
) -> AnchorSpec:
    """Anchors of the COCO SSDLite models: scales evenly from `low` to `high` over the maps.

    Each map has `RATIOS` at its scale and a square at the geometric mean with the
    next scale (SSD, section 2.2, equation 4); the first map has three, with a square of half size.
    """
    scales = [low + (high - low) * k / (maps - 1) for k in range(maps)] + [1.0]
    first = (_shape(low / 2, 1.0), _shape(low, 2.0), _shape(low, 0.5))
    others = tuple(
        (
            *(_shape(scales[k], ratio) for ratio in RATIOS),
            _shape(math.sqrt(scales[k] * scales[k + 1]), 1.0),
        )
        for k in range(1, maps)
    )
    return AnchorSpec(native_size, (first, *others))


def _shape(scale: float, ratio: float) -> tuple[float, float]:
    """(width, height) with area `scale` squared and width / height = `ratio`."""
    return scale * math.sqrt(ratio), scale / math.sqrt(ratio)


def anchors_cxcywh(spec: AnchorSpec, size_hw: tuple[int, int]) -> Tensor:
    """All anchors for an input of `size_hw` pixels: (A, 4) float32 cxcywh, fractions of the input.

    Order: map, then row, then column, then shape.
    """
    height, width = size_hw
    maps = []
    for k, shapes in enumerate(spec.shapes_wh):
        stride = spec.first_stride * 2**k
        cy = centres_px(spec.native_size, height, stride) / height
        cx = centres_px(spec.native_size, width, stride) / width
        shrink = spec.native_size / torch.tensor([width, height])
        wh = torch.tensor(shapes) * shrink ** (1 - growth(spec.native_size, stride))
        cells = torch.cartesian_prod(cy, cx).flip(1)  # (cells, 2), x before y
        each = torch.cat(
            [cells[:, None].expand(-1, len(shapes), 2), wh[None].expand(len(cells), -1, 2)], dim=-1
        )
        maps.append(each.reshape(-1, 4))
    return torch.cat(maps)


def best_ious(spec: AnchorSpec, size_hw: tuple[int, int], boxes_xyxy: Tensor) -> Tensor:
    """How well the anchors can meet boxes: (G, 4) fractions of the input -> (G,) highest IoUs."""
    anchors = cxcywh_to_xyxy(anchors_cxcywh(spec, size_hw))
    best = boxes_xyxy.new_zeros(len(boxes_xyxy))
    for start in range(0, len(best), CHUNK):
        best[start : start + CHUNK] = iou_matrix(boxes_xyxy[start : start + CHUNK], anchors).amax(1)
    return best


def growth(native: int, stride: int) -> float:
    """Anchors of the map of `stride` grow as (side / native) to the power of this; mostly 0."""
    return GROWTH.get(-(-native // stride), 0.0)


def fields_px(side: int, stride: int) -> Tensor:
    """Receptive fields' centres along one axis of the map of `stride`: (n,) pixels.

    n = ceil(side / stride).
    Under SAME padding (see `SameConv2d`) the last cell's is the last pixel, and each earlier one is
    a stride before.
    """
    n = -(-side // stride)
    return side - 0.5 - stride * (n - 1 - torch.arange(n, dtype=torch.float32))


def centres_px(native: int, side: int, stride: int) -> Tensor:
    """Anchor centres along one axis of the map of `stride`: (n,) pixels.

    At the native size they divide the side evenly, (i + 0.5) / n, as in training. That grid is
    finer than the fields', so training taught the head a shift from each field that depends on how
    far the borders are. At any size, near a border it is that of the same place in training, and
    where training never was, in between, their mean. A lone cell sees the whole picture and
    measures from its middle.
    """
    fields = fields_px(side, stride)
    drawn = draw_in(native, stride)
    if len(fields) == 1:
        return torch.tensor([side / 2])
    left = (drawn.middle - fields).clamp(min=0)
    right = (drawn.reach - (side - 0.5 - fields)).clamp(min=0)
    return fields + drawn.shift + drawn.slope * (left - right)


@dataclass(frozen=True)
class DrawIn:
    """How training at the native size drew the anchors in, along one axis of a map.

    cells: a side. middle: of the fields' centres, pixels from the left; reach: from there to the
    last one. shift: from field to anchor, on average, in pixels; slope: how much more of it for
    each pixel nearer to a border than the middle is.
    """

    cells: int
    middle: float
    reach: float
    shift: float
    slope: float


def draw_in(native: int, stride: int) -> DrawIn:
    """See DrawIn; `native` side and `stride` in pixels."""
    cells = -(-native // stride)
    reach = stride * (cells - 1) / 2
    middle = native - 0.5 - reach
    return DrawIn(cells, middle, reach, native / 2 - middle, 1 - native / cells / stride)
