"""The layers' costs summed up: by block, by kind of layer, and against full convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from torch import nn

from detector.model.cost import BYTES, LayerCost, layer_costs, totals
from detector.model.receptive_field import Field

# What a multiply-add or a parameter may be spent in. "full" is a convolution larger than 1x1 across
# all channels; "other" holds linear layers and squeeze-and-excite, which works on one mean a
# channel and so is linear, too.
KINDS = ("1x1", "depthwise", "full", "batch norm", "other")
_KIND_OF = {"pointwise": "1x1", "depthwise": "depthwise", "conv": "full", "norm": "batch norm"}


def kind_of(row: LayerCost) -> str:
    """Which of `KINDS` a layer is."""
    pooled = row.field is not None and row.field.stride == 0
    return "other" if pooled else _KIND_OF.get(row.kind, "other")


def shares(rows: Sequence[LayerCost]) -> dict[str, tuple[float, float]]:
    """For each of `KINDS` its share of all parameters and of all multiply-adds, in 0..1.

    MobileNetV1, table 2, which leaves batch norms out.
    """
    params, multiply_adds = (max(1, total) for total in totals(rows))
    sums = {kind: totals([row for row in rows if kind_of(row) == kind]) for kind in KINDS}
    return {kind: (p / params, m / multiply_adds) for kind, (p, m) in sums.items()}


def folded(rows: Sequence[LayerCost]) -> list[LayerCost]:
    """Each convolution with the parameters of its batch norm; no activations, as an engine runs it.

    What has no parameters and keeps the shape is left out.
    """
    kept: list[LayerCost] = []
    for row in rows:
        if row.kind == "norm" and kept:
            kept[-1] = replace(kept[-1], params=kept[-1].params + row.params)
        elif row.params or row.multiply_adds or row.in_shape != row.out_shape:
            kept.append(row)
    return kept


def peak_memory(rows: Sequence[LayerCost]) -> int:
    """Bytes of the layer whose input and output together are largest, in float32.

    What a network must hold at least (MobileNetV2, section 5.1), shortcuts not counted.
    """
    layers = folded(rows)
    return max((BYTES * math.prod(row.in_shape) + row.memory for row in layers), default=0)


@dataclass(frozen=True)
class Block:
    """Folded layers that stand together in the network, such as an inverted residual."""

    name: str
    layers: list[LayerCost]

    @property
    def out_shape(self) -> tuple[int, ...]:
        """(C, H, W) of what the last layer gives."""
        return self.layers[-1].out_shape

    @property
    def field(self) -> Field | None:
        """The widest field among the layers that give the block's output, shortcuts too."""
        last = [row.field for row in self.layers if row.field and row.out_shape == self.out_shape]
        return max(last, key=lambda field: field.size, default=None)

    @property
    def memory(self) -> int:
        """Bytes of all the layers' outputs in float32."""
        return sum(row.memory for row in self.layers)


def blocks(rows: Sequence[LayerCost]) -> list[Block]:
    """The folded layers in the order of running, grouped by `block_name`."""
    return [
        Block(name, list(layers))
        for name, layers in groupby(folded(rows), key=lambda row: block_name(row.name))
    ]


def block_name(layer: str) -> str:
    """backbone.blocks.3.expand.conv -> blocks.3; backbone.stem.conv -> stem."""
    first, *rest = layer.removeprefix("backbone.").split(".")
    return f"{first}.{rest[0]}" if rest and rest[0].isdigit() else first


@dataclass(frozen=True)
class Separable:
    """A depthwise separable layer against the full convolution it stands for.

    name: the block's. kernel: K. c_in, c_out: M and N. params: with the batch norm between the two,
    which the full convolution has no place for.
    """

    name: str
    kernel: int
    c_in: int
    c_out: int
    params: int
    multiply_adds: int
    full_params: int
    full_multiply_adds: int

    @property
    def ratio(self) -> float:
        """Its multiply-adds over those of the full convolution, as counted."""
        return self.multiply_adds / self.full_multiply_adds

    @property
    def predicted(self) -> float:
        """The same by the formula 1/N + 1/K^2 (MobileNetV1, section 3.1, equation 5)."""
        return 1 / self.c_out + 1 / self.kernel**2


def separables(rows: Sequence[LayerCost]) -> list[Separable]:
    """Every depthwise layer with the 1x1 that reads it, be squeeze-and-excite in between or not."""
    found = []
    for i, row in enumerate(rows):
        if row.kind != "depthwise" or row.field is None:
            continue
        mix = next((r for r in rows[i + 1 :] if _mixes(row, r)), None)
        if mix is None:
            continue
        norm = rows[i + 1].params if rows[i + 1].kind == "norm" else 0
        c_in, c_out, k = mix.in_shape[0], mix.out_shape[0], row.kernel
        cells = mix.multiply_adds // (c_in * c_out)
        bias = mix.params - c_in * c_out
        found.append(
            Separable(
                block_name(row.name),
                k,
                c_in,
                c_out,
                row.params + norm + mix.params,
                row.multiply_adds + mix.multiply_adds,
                k * k * c_in * c_out + bias,
                k * k * c_in * c_out * cells,
            )
        )
    return found


def _mixes(depthwise: LayerCost, row: LayerCost) -> bool:
    """Whether `row` is a 1x1 on the map that `depthwise` gives; squeezes are on a mean."""
    return kind_of(row) == "1x1" and row.stride == 1 and row.in_shape == depthwise.out_shape


def full_totals(rows: Sequence[LayerCost]) -> tuple[int, int]:
    """(parameters, multiply-adds) with full convolutions in place of the separable ones."""
    params, multiply_adds = totals(rows)
    for layer in separables(rows):
        params += layer.full_params - layer.params
        multiply_adds += layer.full_multiply_adds - layer.multiply_adds
    return params, multiply_adds


@dataclass(frozen=True)
class Network:
    """A network and what its layers cost.

    width: alpha. head: "ssdlite", "ssd" or "none". side: of the input, in pixels.
    """

    backbone: str
    width: float
    head: str
    side: int
    rows: list[LayerCost]


def count(model: nn.Module, backbone: str, width: float, head: str, side: int) -> Network:
    """`model`, named by the rest, at `side` pixels square."""
    return Network(backbone, width, head, side, layer_costs(model, (side, side)))


def as_json(network: Network) -> dict[str, Any]:
    """All of it as plain values: shares in 0..1, memory in bytes of float32, fields in pixels."""
    rows = network.rows
    params, multiply_adds = totals(rows)
    full_params, full_multiply_adds = full_totals(rows)
    spent = shares(rows).items()
    layers = [asdict(row) | {"memory": row.memory, "field": _field(row)} for row in rows]
    replaced = [
        asdict(layer) | {"ratio": layer.ratio, "predicted": layer.predicted}
        for layer in separables(rows)
    ]
    return {
        "backbone": network.backbone,
        "width": network.width,
        "head": network.head,
        "size": network.side,
        "params": params,
        "multiply_adds": multiply_adds,
        "memory": sum(row.memory for row in folded(rows)),
        "peak_memory": peak_memory(rows),
        "shares": {kind: {"params": p, "multiply_adds": m} for kind, (p, m) in spent},
        "layers": layers,
        "full": {
            "params": full_params,
            "multiply_adds": full_multiply_adds,
            "layers": replaced,
        },
    }


def _field(row: LayerCost) -> dict[str, int | bool] | None:
    return None if row.field is None else {"size": row.field.size, **asdict(row.field)}
