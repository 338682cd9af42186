"""What the pictures show, counted by the project's own code."""

from __future__ import annotations

from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from detector.model.cost import LayerCost, layer_costs, totals
from detector.model.cost_table import Separable, block_name, blocks, separables
from detector.model.ssdlite import Head, SSDLite
from detector.model.zoo import make_backbone
from detector.predictor import WEIGHTS

INT8 = WEIGHTS / "ssdlite_mobilenet_v2_coco-int8.onnx"
CLASSES, SIDE = 80, 300


@cache
def backbone_rows(name: str, width: float = 1.0, side: int = 224) -> tuple[LayerCost, ...]:
    """The layers of a backbone at `side` pixels."""
    with torch.device("meta"):  # shapes alone
        return tuple(layer_costs(make_backbone(name, width), (side, side)))


def classifier_cost(width: float, side: int) -> int:
    """Multiply-adds of MobileNetV1 with the linear layer of 1000 classes, as the paper counts."""
    rows = backbone_rows("mobilenet_v1", width, side)
    return totals(rows)[1] + 1000 * rows[-1].out_shape[0]


def separable_layers(name: str) -> list[Separable]:
    """Every depthwise separable layer of a backbone."""
    return separables(backbone_rows(name))


def channels(name: str, block: str) -> list[int]:
    """Of one block: the channels that go in, and those behind each of its convolutions."""
    rows = [row for row in backbone_rows(name) if block_name(row.name) == block and row.kernel]
    rows = [row for row in rows if len(row.out_shape) == 3 and row.out_shape[1] > 1]
    return [rows[0].in_shape[0], *(row.out_shape[0] for row in rows)]


@cache
def head_costs(head: Head) -> dict[str, tuple[int, int]]:
    """(parameters, multiply-adds) of each part of a detector's head, on MobileNetV2 at 300 px.

    Parts are extras.0 to 3, class_heads.0 to 5 and box_heads.0 to 5.
    """
    with torch.device("meta"):
        model = SSDLite(make_backbone("mobilenet_v2"), CLASSES, head=head)
        rows = layer_costs(model, (SIDE, SIDE))
    parts = blocks([row for row in rows if not row.name.startswith("backbone.")])
    return {part.name: totals(part.layers) for part in parts}


def kept(inputs: int, outputs: int) -> float:
    """The chance that ReLU(T x) still tells x, for a random T of `outputs` x `inputs`.

    Each output is positive with a chance of one half, and as many of them as x has numbers fix x;
    with fewer, other inputs give the same output.
    """
    ways = sum(comb(outputs, positive) for positive in range(inputs, outputs + 1))
    return float(ways / 2**outputs)


def int8_ranges(path: Path = INT8) -> list[tuple[bool, float]]:
    """(behind a ReLU6?, width of the range that 8 bits must span) in the order of the layers.

    Of every activation that has one scale; what depthwise filters read has a scale for each channel
    and is left out, and so is the picture itself.
    """
    graph = onnx.load(path).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    found: list[tuple[bool, float]] = []
    for node in graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        maker = makers.get(node.input[0])
        if maker is None or maker.op_type == "Sub":
            continue
        scale = np.asarray(numpy_helper.to_array(values[node.input[1]]), np.float64)
        if scale.size == 1:
            found.append((maker.op_type == "Clip", 255 * scale.item()))
    return found
