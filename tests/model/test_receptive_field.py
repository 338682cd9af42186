"""Fields as computed from kernels and strides, against those that gradients show."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from detector.model.anchors import fields_px
from detector.model.checkpoint import ModelCard, build
from detector.model.cost import layer_costs
from detector.model.layers import ConvBN, SameConv2d, SameMaxPool2d
from detector.model.mobilenet_v3 import SqueezeExcite
from detector.model.receptive_field import Field, FieldTracker


class Branches(nn.Module):
    """Two branches of different reach, united by a sum, then one by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 4, 3, 2)
        self.wide = nn.Sequential(SameConv2d(4, 4, 5, groups=4), SameConv2d(4, 4, 3))
        self.narrow = SameConv2d(4, 4, 1)
        self.pool = SameMaxPool2d()
        self.dilated = nn.Conv2d(8, 2, 3, padding=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        both = self.wide(y) + self.narrow(y)
        return self.dilated(torch.cat([self.pool(both), self.pool(y)], 1))


def seen_columns(model: nn.Module, side: int, column: int) -> tuple[int, int]:
    """First and last column of the picture that a cell in the middle row depends on."""
    images = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    y = model(images)
    y[:, :, y.shape[2] // 2, column].sum().backward()
    (columns,) = images.grad.abs().sum((0, 1, 2)).nonzero(as_tuple=True)
    return int(columns.min()), int(columns.max())


def field_of(model: nn.Module, side: int) -> Field:
    images = torch.rand(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad(), FieldTracker(images) as tracker:
        field = tracker.of(model(images))
    assert field is not None
    return field


def linear(model: nn.Module) -> nn.Module:
    """All weights positive and no activation, so that no gradient is lost on the way."""
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    return model.double().eval()


def stack(*kernels_strides: tuple[int, int]) -> nn.Module:
    widths = [3] + [4] * len(kernels_strides)
    return nn.Sequential(
        *(
            ConvBN(widths[i], 4, kernel, stride, linear=True)
            for i, (kernel, stride) in enumerate(kernels_strides)
        )
    )


@pytest.mark.parametrize("side", [64, 65, 70, 95])
@pytest.mark.parametrize(
    "make",
    [
        lambda: stack((3, 2), (1, 1), (3, 2), (5, 1)),
        lambda: stack((5, 2), (3, 2), (3, 2)),
        Branches,
    ],
    ids=["convolutions", "strides", "branches"],
)
def test_the_field_is_where_gradients_are(make, side: int) -> None:
    torch.manual_seed(0)
    model = linear(make())
    field = field_of(model, side)
    cells = model(torch.zeros(1, 3, side, side, dtype=torch.float64)).shape[-1]
    for column in range(cells):
        low, high = (edge + column * field.stride for edge in (field.low, field.high))
        first, last = seen_columns(model, side, column)
        if isinstance(model, Branches):  # of a maximum only one of nine gradients is not zero
            assert max(0, low) <= first <= last <= min(side - 1, high)
        else:
            assert (first, last) == (max(0, low), min(side - 1, high))


def test_branches_take_the_widest() -> None:
    """By hand: 3, then 5 and 3 at stride 2 add 8 and 4, the maximum 4, the dilated one 16."""
    field = field_of(Branches().double(), 65)
    assert (field.size, field.stride) == (3 + 8 + 4 + 4 + 16, 4)


def test_squeeze_and_excite_sees_the_whole_picture() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(SameConv2d(3, 8, 3), SqueezeExcite(8)).double()
    field = field_of(model, 32)
    assert field == Field(-1, 1, 1, whole=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().mul_(0.1)  # inside the hard sigmoid's slope
    assert seen_columns(model, 32, 16) == (0, 31)


def test_what_does_not_come_from_the_images_has_no_field() -> None:
    images = torch.zeros(1, 3, 8, 8)
    with FieldTracker(images) as tracker:
        unrelated = torch.ones(3) * 2
        mixed = torch.cat([images.flatten(), nn.functional.avg_pool2d(images, 2).flatten()])
        pooled = nn.functional.avg_pool2d(images, 2)
    assert tracker.of(unrelated) is None
    assert tracker.of(mixed) is None  # of two strides
    assert tracker.of(pooled) == Field(0, 1, 2)


@pytest.mark.parametrize(
    ("backbone", "side"),
    [("mobilenet_v1", 299), ("mobilenet_v2", 320), ("mobilenet_v3_small", 387)],
)
def test_anchors_stand_on_the_fields_centres(backbone: str, side: int) -> None:
    """`fields_px` has a formula for where padding puts the fields; here they are followed."""
    with torch.device("meta"):
        rows = layer_costs(build(ModelCard(("a",), 0.25, backbone)), (side, side))
    fields = [r.field for r in rows if re.fullmatch(r"class_heads.*depthwise\.conv", r.name)]
    assert [field.stride for field in fields] == [16, 32, 64, 128, 256, 512]
    for field in fields:
        found = fields_px(side, field.stride)
        cells = torch.arange(len(found))
        centres = (field.low + field.high + 1) / 2 + field.stride * cells
        torch.testing.assert_close(found, centres)
