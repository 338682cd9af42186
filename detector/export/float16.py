"""Weights of model files in half the bytes, where that moves no box."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# Below it are the stem, depthwise filters and narrow projections: together a small part of a file,
# and most of the harm that rounding does (docs/export.md has figures).
SMALL = 10_000  # numbers in a weight


def bears_float16(weight: npt.NDArray[Any]) -> bool:
    """Whether a convolution's weight is stored in float16 by files of that precision.

    Large ones are; those of fewer than SMALL numbers only where nothing is rounded.
    """
    if weight.size >= SMALL:
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(weight.astype(np.float16), weight))


def store_float16(proto: onnx.ModelProto) -> None:
    """Store convolutions' weights that bear it as float16 with a Cast behind them, in place.

    Engines fold the Cast when they compile; only the file shrinks.
    """
    graph, casts = proto.graph, []
    # By use and not by shape: constants of the anchors have four axes too, and need every digit.
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    for tensor in graph.initializer:
        name = tensor.name
        if name not in weights:
            continue
        whole = numpy_helper.to_array(tensor)
        if not bears_float16(whole):
            continue
        tensor.CopyFrom(numpy_helper.from_array(whole.astype(np.float16), f"{name}.float16"))
        to = TensorProto.FLOAT
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=to))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
