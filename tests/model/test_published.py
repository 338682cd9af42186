"""Counted parameters and multiply-adds against those the papers print (published.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detector.model.cost import LayerCost, layer_costs, totals
from detector.model.cost_table import blocks, shares
from detector.model.layers import SameConv2d
from detector.model.ssdlite import SSDLite
from detector.model.zoo import make_backbone

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
FIGURES = ("params", "mult_adds")
UNITS = {"": 1.0, "%": 0.01, "M": 1e6, "G": 1e9}


class Classifier(nn.Module):
    """A backbone, a mean and a linear layer."""

    def __init__(self, backbone: nn.Module, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.backbone = backbone
        self.linear = nn.Linear(backbone.out_channels[1], classes, bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.backbone(images)[1].mean((2, 3)))


def classifier(
    backbone: str, width: float, side: int, classes: int, bias: bool = True
) -> list[LayerCost]:
    return layer_costs(Classifier(make_backbone(backbone, width), classes, bias), (side, side))


def block(backbone: str, width: float, side: int, block: str) -> list[LayerCost]:
    rows = layer_costs(make_backbone(backbone, width), (side, side))
    (found,) = [b.layers for b in blocks(rows) if b.name == block]
    return found


def detector(backbone: str, columns: int, head: str, side: int) -> list[LayerCost]:
    model = SSDLite(make_backbone(backbone), columns, head=head.removesuffix("_1x1"))
    for predictor in [*model.class_heads, *model.box_heads] if head == "ssd_1x1" else []:
        old = predictor.predict
        predictor.predict = SameConv2d(old.in_channels, old.out_channels, bias=True)
    return layer_costs(model, (side, side))


def head(**net: Any) -> list[LayerCost]:
    return [row for row in detector(**net) if not row.name.startswith("backbone.")]


def torchvision(model: str, side: int) -> list[LayerCost]:
    models = pytest.importorskip("torchvision.models")
    extra = {"aux_logits": False, "init_weights": False} if model == "googlenet" else {}
    return layer_costs(models.get_model(model, weights=None, **extra), (side, side))


def googlenet_5x5() -> list[LayerCost]:
    inception = pytest.importorskip("torchvision.models.googlenet")
    model = inception.GoogLeNet(aux_logits=False, init_weights=False)
    for module in model.modules():
        if isinstance(module, inception.Inception):
            old = module.branch3[1].conv
            new = nn.Conv2d(old.in_channels, old.out_channels, 5, padding=2, bias=False)
            module.branch3[1].conv = new
    return layer_costs(model, (224, 224))


def alexnet_two_columns() -> list[LayerCost]:
    model = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.MaxPool2d(3, 2)),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)),
    )
    rows = layer_costs(model, (227, 227))
    assert [row.kind for row in rows].count("grouped") == 3
    return rows


def xception_unpadded(side: int) -> list[LayerCost]:
    backbone = make_backbone("xception")
    backbone.stem.conv = nn.Conv2d(3, 32, 3, 2, bias=False)
    backbone.stem2.conv = nn.Conv2d(32, 64, 3, bias=False)
    return layer_costs(Classifier(backbone, 1000), (side, side))


NETS: dict[str, Callable[..., list[LayerCost]]] = {
    "classifier": classifier,
    "block": block,
    "detector": detector,
    "head": head,
    "torchvision": torchvision,
    "googlenet_5x5": googlenet_5x5,
    "alexnet_two_columns": alexnet_two_columns,
    "xception_unpadded": xception_unpadded,
}


def count(net: dict[str, Any]) -> list[LayerCost]:
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        return NETS[net["kind"]](**{k: v for k, v in net.items() if k != "kind"})


def agrees(counted: float, printed: str) -> bool:
    """Whether it is what is printed, to half of the last digit."""
    digits, unit = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG%]?)", printed).groups()
    last = 10.0 ** -len(digits.partition(".")[2])
    return abs(counted / UNITS[unit] - float(digits)) <= last / 2 + 1e-9


def judge(counted: dict[str, float], entry: dict[str, Any], why: str) -> None:
    """What is printed is what is counted, or the difference is told, exactly."""
    documented = entry.get("counted", {})
    assert set(documented) <= set(entry)
    for figure in FIGURES:
        printed = entry[figure]
        if figure in documented:
            assert why
            assert agrees(counted[figure], documented[figure]), (figure, counted[figure])
            assert not agrees(counted[figure], printed), f"{figure}: agrees, drop the note"
        else:
            assert agrees(counted[figure], printed), (figure, counted[figure], printed)


@pytest.mark.parametrize("entry", PUBLISHED["costs"], ids=lambda entry: entry["source"])
def test_costs(entry: dict[str, Any]) -> None:
    counted = dict(zip(FIGURES, totals(count(entry["net"])), strict=True))
    judge(counted, entry, entry.get("why", ""))


def test_shares() -> None:
    table = PUBLISHED["shares"]
    rows = [row for row in count(table["net"]) if row.kind != "norm"]
    spent = shares(rows)
    assert {kind for kind, share in spent.items() if any(share)} == set(table["rows"])
    for kind, entry in table["rows"].items():
        judge(dict(zip(FIGURES, spent[kind], strict=True)), entry, table["why"])


def test_what_is_printed_is_read_to_half_of_the_last_digit() -> None:
    assert agrees(4.249e6, "4.2 M")
    assert not agrees(4.251e6, "4.2 M")
    assert agrees(0.7459, "74.59 %")
    assert agrees(1.2e9, "1.2 G")
    assert not agrees(22855953, "22855952")
