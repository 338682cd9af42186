"""What a row of costs holds, and what counting leaves alone; figures are in test_published."""

from __future__ import annotations

import torch
from torch import nn

from detector.model.checkpoint import ModelCard, build
from detector.model.cost import layer_costs
from detector.model.receptive_field import Field


def test_a_row_by_hand() -> None:
    with torch.device("meta"):  # shapes alone
        model = build(ModelCard(("a",)))
    rows = layer_costs(model, (300, 301))
    stem = rows[0]
    assert (stem.name, stem.kind, stem.kernel, stem.stride) == ("backbone.stem.conv", "conv", 3, 2)
    assert (stem.in_shape, stem.out_shape) == ((3, 300, 301), (32, 150, 151))
    assert (stem.params, stem.multiply_adds) == (3 * 9 * 32, 3 * 9 * 32 * 150 * 151)
    assert stem.memory == 4 * 32 * 150 * 151
    assert stem.field == Field(-1, 1, 2)  # 301 columns are padded by one on both sides
    norm, act, filters = rows[1:4]
    assert (norm.kind, norm.params, norm.multiply_adds) == ("norm", 64, 0)
    assert (act.kind, act.params) == ("ReLU6", 0)
    assert (filters.kind, filters.multiply_adds) == ("depthwise", 9 * 32 * 150 * 151)


def test_counting_leaves_the_model_alone() -> None:
    model = build(ModelCard(("a",), 0.25)).train()
    model.backbone.stem.bn.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rows = layer_costs(model, (96, 96))
    assert sum(row.params for row in rows) == sum(p.numel() for p in model.parameters())
    assert model.training
    assert not model.backbone.stem.bn.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


def test_a_layer_run_twice_has_its_parameters_once() -> None:
    layer = nn.Conv2d(3, 3, 1, bias=False)
    rows = layer_costs(nn.Sequential(layer, layer), (2, 2))
    assert [row.params for row in rows] == [9, 0]
    assert [row.multiply_adds for row in rows] == [36, 36]
