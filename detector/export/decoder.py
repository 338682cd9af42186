"""Anchors and box decoding as ONNX nodes, so that one file serves every input size.

The same arithmetic as `detector.model.anchors`, which a test ties it to. Once an engine is told the
input size all of the anchors fold into one constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, TensorProto, helper, numpy_helper

from detector.model.anchors import AnchorSpec, draw_in, growth
from detector.model.boxes import CENTRE_VARIANCE, SIZE_VARIANCE


class Nodes:
    """Appends nodes and constants to a graph, and names them `prefix.NUMBER.what`."""

    def __init__(self, graph: GraphProto, prefix: str) -> None:
        self.graph, self.prefix, self.count = graph, prefix, 0

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its one output."""
        self.count += 1
        output = output or f"{self.prefix}.{self.count}.{kind.lower()}"
        self.graph.node.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def const(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Append a constant; returns its name."""
        self.count += 1
        name = f"{self.prefix}.{self.count}.const"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def to_float(self, x: str) -> str:
        """`x` as float32."""
        return self.op("Cast", x, to=TensorProto.FLOAT)


def append_decoder(graph: GraphProto, spec: AnchorSpec, num_classes: int) -> None:
    """Turn outputs `logits`, `offsets` of a graph into `boxes`, `scores`, in place.

    graph: has an input `frame` (1, H, W, 3), or one of another name (1, 3, H, W), and tensors
    `logits` (1, A, K), `offsets` (1, A, 4).
    Then `boxes` (1, A, 4) are xyxy in fractions of the frame, and `scores` (1, A, K) in 0..1.
    """
    g = Nodes(graph, "anchors")
    name = graph.input[0].name
    first = 1 if name == "frame" else 2
    sides = g.op("Shape", name, start=first, end=first + 2)
    maps = [
        _one_map(g, sides, spec.native_size, spec.first_stride * 2**k, shapes)
        for k, shapes in enumerate(spec.shapes_wh)
    ]
    anchors = g.op("Concat", *maps, axis=0)
    centre, size = halves(g, anchors)
    g = Nodes(graph, "decode")
    move, grow = halves(g, "offsets")
    move = g.op("Mul", g.op("Mul", move, g.const(CENTRE_VARIANCE)), size)
    centre = g.op("Add", centre, move)
    grow = g.op("Exp", g.op("Mul", grow, g.const(SIZE_VARIANCE)))
    half = g.op("Mul", grow, g.op("Mul", size, g.const(0.5)))
    g.op("Concat", g.op("Sub", centre, half), g.op("Add", centre, half), axis=-1, output="boxes")
    g.op("Sigmoid", "logits", output="scores")
    del graph.output[:]
    for name, last in (("boxes", 4), ("scores", num_classes)):
        shape: list[str | int | None] = [1, "anchors", last]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def halves(g: Nodes, x: str) -> tuple[str, str]:
    """The first and the last two columns of (..., 4)."""
    zero, two, four, axis = (g.const([v], np.int64) for v in (0, 2, 4, -1))
    return g.op("Slice", x, zero, two, axis), g.op("Slice", x, two, four, axis)


def _one_map(
    g: Nodes, sides: str, native: int, stride: int, shapes: tuple[tuple[float, float], ...]
) -> str:
    """Anchors (cells * shapes, 4) cxcywh of one map, fractions of the input.

    sides: the input's height and width, int64 (2,). shapes: (width, height) in parts of `native`.
    """
    height, width = (g.op("Gather", sides, g.const(axis, np.int64), axis=0) for axis in (0, 1))
    cy, cx = _centres(g, height, native, stride), _centres(g, width, native, stride)
    each = len(shapes)

    def spread(centres: str, shape: list[int]) -> str:
        """Centres along one axis of (rows, columns, each, 1), repeated for each shape."""
        aligned = g.op("Reshape", centres, g.const(shape, np.int64))
        return g.op("Mul", aligned, g.const(np.ones((1, 1, each, 1))))

    rows, columns = spread(cy, [-1, 1, 1, 1]), spread(cx, [1, -1, 1, 1])
    # Added to a part, this gives it all four axes; Expand would need their sizes worked out first.
    nothing = g.op("Mul", g.op("Add", rows, columns), g.const(0.0))
    shrink = [_shrink(g, side, native, stride) for side in (width, height)]
    wh = np.asarray(shapes, np.float32).reshape(1, 1, each, 2)
    parts = [
        g.op("Add", nothing, columns),
        g.op("Add", nothing, rows),
        g.op("Add", nothing, g.op("Mul", g.const(wh[..., :1]), shrink[0])),
        g.op("Add", nothing, g.op("Mul", g.const(wh[..., 1:]), shrink[1])),
    ]
    return g.op("Reshape", g.op("Concat", *parts, axis=-1), g.const([-1, 4], np.int64))


def _centres(g: Nodes, side: str, native: int, stride: int) -> str:
    """`detector.model.anchors.centres_px` over the side, an int64 scalar: (n,) fractions."""
    drawn = draw_in(native, stride)
    n = g.op("Div", g.op("Add", side, g.const(stride - 1, np.int64)), g.const(stride, np.int64))
    last = g.op("Sub", n, g.const(1, np.int64))
    i = g.op("Range", g.const(0, np.int64), n, g.const(1, np.int64))
    # Distances from the last pixel's middle are whole numbers: nothing is rounded yet.
    back = g.to_float(g.op("Mul", g.op("Sub", last, i), g.const(stride, np.int64)))
    length = g.to_float(side)
    fields = g.op("Sub", g.op("Sub", length, g.const(0.5)), back)
    left = g.op("Relu", g.op("Sub", g.const(drawn.middle), fields))
    right = g.op("Relu", g.op("Sub", g.const(drawn.reach), back))
    pull = g.op("Mul", g.op("Sub", left, right), g.const(drawn.slope))
    centres = g.op("Add", g.op("Add", fields, g.const(drawn.shift)), pull)
    alone = g.op("Equal", n, g.const(1, np.int64))
    centres = g.op("Where", alone, g.op("Mul", length, g.const(0.5)), centres)
    return g.op("Div", centres, length)


def _shrink(g: Nodes, side: str, native: int, stride: int) -> str:
    """What anchors' sizes, in parts of `native`, become in parts of the side: a scalar."""
    ratio = g.op("Div", g.const(float(native)), g.to_float(side))
    exponent = 1 - growth(native, stride)
    return ratio if exponent == 1 else g.op("Pow", ratio, g.const(exponent))
