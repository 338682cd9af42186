"""Non-maximum suppression as ONNX nodes, for hosts that want finished detections.

The same rules as `detector.detections.select`: boxes clipped to the frame, those without area left
out, suppression within each class, the best `top_k` of all classes together.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, TensorProto, helper

from detector.export.decoder import Nodes


def append_nms(graph: GraphProto, score: float, iou: float, top_k: int) -> None:
    """Turn outputs `boxes`, `scores` of a graph into those of what is left after NMS, in place.

    Then `boxes` (D, 4) are xyxy in fractions of the frame, clipped to it, `scores` (D,) and
    `labels` (D,) int64, best first, D at most `top_k`. score, iou: thresholds in 0..1.
    """
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name in ("boxes", "scores"):
                node.output[i] = node.name = f"all.{name}"
    g = Nodes(graph, "nms")
    boxes = g.op("Clip", "all.boxes", g.const(0.0), g.const(1.0))
    by_class = g.op("Transpose", _of_area(g, boxes), perm=[0, 2, 1])
    picked = g.op(
        "NonMaxSuppression",
        boxes,  # its rows are y, x, y, x, but overlap is the same with the axes swapped
        by_class,
        g.const([top_k], np.int64),
        g.const([iou], np.float32),
        # It wants a score above the threshold, we one of at least that much.
        g.const([np.nextafter(np.float32(score), np.float32(0))], np.float32),
    )
    values = g.op("GatherND", by_class, picked)  # (D,); rows of `picked` are 0, label, anchor
    count = g.op("Shape", values)
    most = g.op("Min", count, g.const([top_k], np.int64))
    best = f"{g.prefix}.best"
    graph.node.append(helper.make_node("TopK", [values, most], ["scores", best], name=best))
    rows = g.op("Gather", picked, best, axis=0)
    g.op("Gather", rows, g.const(1, np.int64), axis=1, output="labels")
    anchor = g.op("Gather", rows, g.const(2, np.int64), axis=1)
    frame = g.op("Squeeze", boxes, g.const([0], np.int64))
    g.op("Gather", frame, anchor, axis=0, output="boxes")
    del graph.output[:]
    shapes: dict[str, list[str | int | None]] = {"boxes": ["found", 4], "scores": ["found"]}
    for name, shape in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["found"]))


def _of_area(g: Nodes, boxes: str) -> str:
    """`all.scores`, but 0 for boxes (1, A, 4) that lie outside of the frame."""
    zero, two, four, axis = (g.const([v], np.int64) for v in (0, 2, 4, -1))
    low, high = g.op("Slice", boxes, zero, two, axis), g.op("Slice", boxes, two, four, axis)
    side = g.op("ReduceMin", g.op("Sub", high, low), axis, keepdims=1)  # (1, A, 1)
    inside = g.to_float(g.op("Greater", side, g.const(0.0)))
    return g.op("Mul", "all.scores", inside)
