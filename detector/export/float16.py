"""Weights of model files in half the bytes, but for the few whose rounding moves boxes most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Float32 = npt.NDArray[np.float32]
SHARE = 1 / 8  # of a network's weights that may stay float32; docs/export.md has what it is worth
FOLDED = 1e-6  # relative, what folding a batch norm adds to a weight that float16 held


def halved(proto: onnx.ModelProto) -> dict[str, Float32]:
    """The convolutions' weights, by name, that files of float16 hold in float16.

    All but the smallest of those that it would round: stem, depthwise filters, narrow projections.
    Together they are at most SHARE of all numbers, and do most of the harm.
    """
    # By use and not by shape: constants of the anchors have four axes too, and need every digit.
    used = {node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer if t.name in used}
    left = SHARE * sum(weight.size for weight in weights.values())
    halves = dict(weights)
    for name, weight in sorted(weights.items(), key=lambda item: item[1].size):
        if weight.size > left:
            break
        if not _is_held(weight):
            del halves[name]
            left -= weight.size
    return halves


def store_float16(proto: onnx.ModelProto) -> None:
    """Store the weights that are `halved` as float16 with a Cast behind them, in place.

    Engines fold the Cast when they compile; only the file shrinks.
    """
    graph, casts = proto.graph, []
    weights = halved(proto)
    for tensor in graph.initializer:
        name = tensor.name
        if name not in weights:
            continue
        half = weights[name].astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
        to = TensorProto.FLOAT
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=to))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _is_held(weight: Float32) -> bool:
    """Whether float16 holds a weight, but for what folding added."""
    with np.errstate(over="ignore"):
        half = weight.astype(np.float16).astype(np.float32)
    return bool((np.abs(half - weight) <= FOLDED * np.abs(weight)).all())
