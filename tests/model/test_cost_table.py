"""Costs summed up by block and kind, and against networks that really have full convolutions."""

from __future__ import annotations

import functools
import json

import pytest
import torch
from torch import nn

from detector.model.cost import LayerCost, layer_costs, totals
from detector.model.cost_table import (
    as_json,
    block_name,
    blocks,
    count,
    folded,
    full_totals,
    peak_memory,
    separables,
    shares,
)
from detector.model.layers import depthwise
from detector.model.ssdlite import SSDLite
from detector.model.zoo import make_backbone


@functools.cache
def rows_of(backbone: str, head: str = "ssdlite", side: int = 300) -> list[LayerCost]:
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        model = SSDLite(make_backbone(backbone, 0.5), 7, head=head)
        return layer_costs(model, (side, side))


@pytest.fixture(scope="module")
def v3() -> list[LayerCost]:
    return rows_of("mobilenet_v3_small")


def test_full_convolutions_as_in_the_network_that_has_them() -> None:
    """V1 with a plain head is V1 with SSDLite, each separable layer made full."""
    real = rows_of("mobilenet_v1_full", "ssd")
    assert full_totals(rows_of("mobilenet_v1")) == totals(real)
    assert separables(real) == []
    assert full_totals(real) == totals(real)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small"])
def test_the_papers_ratio(backbone: str) -> None:
    """MobileNetV1, equation 5, holds for every separable layer, the head's and at stride 2 too."""
    rows = rows_of(backbone)
    layers = separables(rows)
    assert len(layers) == sum(row.kind == "depthwise" for row in rows)
    for layer in layers:
        assert layer.ratio == pytest.approx(layer.predicted, rel=1e-12)
        assert 1 / layer.kernel**2 < layer.ratio < 1
        assert layer.params < layer.full_params


def test_a_separable_layer_by_hand() -> None:
    """Table 3 of the paper: 512 channels on 14x14, 52.3 M for 462 M."""
    with torch.device("meta"):
        rows = layer_costs(make_backbone("mobilenet_v1"), (224, 224))
    (layer,) = [layer for layer in separables(rows) if layer.name == "layers.6"]
    assert (layer.kernel, layer.c_in, layer.c_out) == (3, 512, 512)
    assert layer.multiply_adds == 196 * 512 * (9 + 512)
    assert layer.full_multiply_adds == 196 * 512 * 512 * 9
    assert layer.params == 512 * (9 + 2 + 512)
    assert layer.full_params == 512 * 512 * 9


def test_squeezes_are_no_part_of_a_separable_layer(v3) -> None:
    """At 32 px the last maps are 1x1, as the squeezed means are."""
    tiny = rows_of("mobilenet_v3_small", side=32)
    pairs = [(layer.c_in, layer.c_out) for layer in separables(v3)]
    assert [(layer.c_in, layer.c_out) for layer in separables(tiny)] == pairs


def test_a_depthwise_layer_that_nothing_mixes() -> None:
    rows = layer_costs(nn.Sequential(depthwise(3)), (8, 8))
    assert [row.kind for row in rows][:1] == ["depthwise"]
    assert separables(rows) == []


def test_shares_add_up(v3) -> None:
    spent = shares(v3)
    assert sum(p for p, _ in spent.values()) == pytest.approx(1)
    assert sum(m for _, m in spent.values()) == pytest.approx(1)
    assert spent["batch norm"][1] == 0 < spent["batch norm"][0]
    squeezes = [row for row in v3 if ".squeeze.squeeze" in row.name or ".excite" in row.name]
    assert len(squeezes) == 18
    assert spent["other"][0] == pytest.approx(totals(squeezes)[0] / totals(v3)[0])


def test_nothing_counted_is_spent_on_nothing() -> None:
    assert set(shares([]).values()) == {(0.0, 0.0)}
    assert peak_memory([]) == 0
    assert blocks([]) == []


def test_folding_loses_no_cost(v3) -> None:
    layers = folded(v3)
    assert totals(layers) == totals(v3)
    assert {row.kind for row in layers} == {"conv", "depthwise", "pointwise"}
    kinds = {row.kind for row in folded(rows_of("xception"))}
    assert "SameMaxPool2d" in kinds
    assert "ReLU" not in kinds


def test_blocks() -> None:
    found = blocks(rows_of("xception"))
    names = [block.name for block in found]
    assert names[:3] == ["stem", "stem2", "blocks.0"]
    assert len(set(names)) == len(names)
    first = found[2]
    assert first.out_shape == (64, 75, 75)
    # 3 + 4 + 4 + 4 + 4: the pooled branch; the shortcut alone sees 7.
    assert first.field is not None
    assert (first.field.size, first.field.stride) == (19, 4)
    assert first.memory == sum(row.memory for row in first.layers)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("backbone.blocks.3.expand.conv", "blocks.3"),
        ("backbone.stem.conv", "stem"),
        ("backbone.exit.layers.1.depthwise", "exit"),
        ("class_heads.0.predict", "class_heads.0"),
        ("blocks.3.expand.conv", "blocks.3"),
    ],
)
def test_block_names(layer: str, block: str) -> None:
    assert block_name(layer) == block


def test_peak_memory_by_hand() -> None:
    """V2's is the first depthwise layer that halves: 48 channels (96 at width 1) in and out."""
    assert peak_memory(rows_of("mobilenet_v2")) == 4 * 48 * (150 * 150 + 75 * 75)


def test_json_holds_all_and_survives(v3) -> None:
    with torch.device("meta"):
        model = SSDLite(make_backbone("mobilenet_v3_small", 0.5), 7)
    got = json.loads(json.dumps(as_json(count(model, "mobilenet_v3_small", 0.5, "ssdlite", 300))))
    assert (got["params"], got["multiply_adds"]) == totals(v3)
    assert len(got["layers"]) == len(v3)
    assert sum(layer["params"] for layer in got["layers"]) == got["params"]
    assert (got["full"]["params"], got["full"]["multiply_adds"]) == full_totals(v3)
    stem = got["layers"][0]
    assert stem["field"] == {"size": 3, "low": 0, "high": 2, "stride": 2, "whole": False}
    assert stem["memory"] == 4 * 8 * 150 * 150
