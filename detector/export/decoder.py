"""Anchors and box decoding as ONNX nodes, so that one file serves every input size.

The same arithmetic as `detector.model.anchors`, which a test ties it to. Once an engine is told the
input size all of the anchors fold into one constant.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, TensorProto, helper, numpy_helper

from detector.model.anchors import AnchorSpec


class _Nodes:
    """Appends nodes to a graph and names their outputs."""

    def __init__(self, graph: GraphProto, prefix: str) -> None:
        self.graph, self.prefix, self.count = graph, prefix, 0

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        self.count += 1
        output = output or f"{self.prefix}.{self.count}.{kind.lower()}"
        self.graph.node.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def const(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        self.count += 1
        name = f"{self.prefix}.{self.count}.const"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name


def append_decoder(graph: GraphProto, spec: AnchorSpec, num_classes: int) -> None:
    """Turn a graph with outputs `logits` and `offsets` into one with `boxes` and `scores`, in place."""
    g = _Nodes(graph, "anchors")
    sides = g.op("Shape", "frame", start=1, end=3)
    maps = [
        _one_map(g, sides, spec.native_size, spec.first_stride * 2**k, shapes)
        for k, shapes in enumerate(spec.shapes_wh)
    ]
    anchors = g.op("Concat", *maps, axis=0)
    centre, size = _halves(g, anchors)
    g = _Nodes(graph, "decode")
    move, grow = _halves(g, "offsets")
    centre = g.op("Add", centre, g.op("Mul", g.op("Mul", move, g.const(0.1)), size))
    half = g.op("Mul", g.op("Exp", g.op("Mul", grow, g.const(0.2))), g.op("Mul", size, g.const(0.5)))
    g.op("Concat", g.op("Sub", centre, half), g.op("Add", centre, half), axis=-1, output="boxes")
    g.op("Sigmoid", "logits", output="scores")
    del graph.output[:]
    for name, last in (("boxes", 4), ("scores", num_classes)):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "anchors", last]))


def _halves(g: _Nodes, x: str) -> tuple[str, str]:
    """The first and the last two columns of (..., 4)."""
    zero, two, four, axis = (g.const([v], np.int64) for v in (0, 2, 4, -1))
    return g.op("Slice", x, zero, two, axis), g.op("Slice", x, two, four, axis)


def _one_map(
    g: _Nodes, sides: str, native: int, stride: int, shapes: tuple[tuple[float, float], ...]
) -> str:
    """Anchors (cells * shapes, 4) cxcywh of one map, fractions of the input."""
    height, width = (g.op("Gather", sides, g.const(axis, np.int64), axis=0) for axis in (0, 1))
    cy, cx = _centres(g, height, native, stride), _centres(g, width, native, stride)
    each = len(shapes)
    # (rows, columns, each, 1) grids by adding zeros of the other axes' shapes.
    rows = g.op("Mul", g.op("Reshape", cy, g.const([-1, 1, 1, 1], np.int64)), g.const(np.ones((1, 1, each, 1))))
    columns = g.op("Mul", g.op("Reshape", cx, g.const([1, -1, 1, 1], np.int64)), g.const(np.ones((1, 1, each, 1))))
    nothing = g.op("Mul", g.op("Add", rows, columns), g.const(0.0))
    to_float = [g.op("Cast", side, to=TensorProto.FLOAT) for side in (width, height)]
    wh = np.asarray(shapes, np.float32).reshape(1, 1, each, 2) * native
    parts = [
        g.op("Add", nothing, columns),
        g.op("Add", nothing, rows),
        g.op("Add", nothing, g.op("Div", g.const(wh[..., :1]), to_float[0])),
        g.op("Add", nothing, g.op("Div", g.const(wh[..., 1:]), to_float[1])),
    ]
    return g.op("Reshape", g.op("Concat", *parts, axis=-1), g.const([-1, 4], np.int64))


def _centres(g: _Nodes, side: str, native: int, stride: int) -> str:
    """`centres_px` over the side: (n,) fractions."""
    native_n = -(-native // stride)
    learned = native / 2 - (native - 0.5 - stride * (native_n - 1) / 2)
    n = g.op("Div", g.op("Add", side, g.const(stride - 1, np.int64)), g.const(stride, np.int64))
    last = g.op("Sub", n, g.const(1, np.int64))
    i = g.op("Range", g.const(0, np.int64), n, g.const(1, np.int64))
    back = g.op("Cast", g.op("Mul", g.op("Sub", last, i), g.const(stride, np.int64)), to=TensorProto.FLOAT)
    length = g.op("Cast", side, to=TensorProto.FLOAT)
    moved = g.op("Sub", g.op("Add", length, g.const(learned - 0.5)), back)
    even = g.op("Mul", g.op("Add", g.op("Cast", i, to=TensorProto.FLOAT), g.const(0.5)), g.const(native / native_n))
    is_native = g.op("Equal", side, g.const(native, np.int64))
    return g.op("Div", g.op("Where", is_native, even, moved), length)
