"""Non-maximum suppression as ONNX nodes, for hosts that want finished detections.

The same rules as `detector.detections.select`: boxes clipped to the frame, those without area left
out, suppression within each class, the best `top_k` of all classes together, and a vote on where
they lie and what they score.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, TensorProto, helper

from detector.detections import AGREEING, LEAST_SPREAD, VOTER, Limits
from detector.export.decoder import Nodes, halves

TINY = 1e-30  # so that nothing is divided by 0


def append_nms(graph: GraphProto, limits: Limits) -> None:
    """Turn outputs `boxes`, `scores` of a graph into those of what is left after NMS, in place.

    Then `boxes` (D, 4) are xyxy in fractions of the frame, clipped to it, `scores` (D,) and
    `labels` (D,) int64, best first.
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
        g.const([limits.top_k], np.int64),
        g.const([limits.iou], np.float32),
        # It wants a score above the threshold, we one of at least that much.
        g.const([np.nextafter(np.float32(limits.score), np.float32(0))], np.float32),
    )
    values = g.op("GatherND", by_class, picked)  # (D,); rows of `picked` are 0, label, anchor
    count = g.op("Shape", values)
    most = g.op("Min", count, g.const([limits.top_k], np.int64))
    kept, own, labels = ("kept.scores", "", "") if limits.vote else ("scores", "boxes", "labels")
    best = _top(g, values, most, kept)
    rows = g.op("Gather", picked, best, axis=0)
    labels = g.op("Gather", rows, g.const(1, np.int64), axis=1, output=labels)
    anchor = g.op("Gather", rows, g.const(2, np.int64), axis=1)
    frame = g.op("Squeeze", boxes, g.const([0], np.int64))
    own = g.op("Gather", frame, anchor, axis=0, output=own)
    if limits.vote:
        of_class = g.op("Squeeze", g.op("Gather", by_class, labels, axis=1), g.const([0], np.int64))
        _append_vote(g, limits, (own, kept, labels), (frame, of_class))
    _declare_outputs(graph)


def _declare_outputs(graph: GraphProto) -> None:
    del graph.output[:]
    shapes: dict[str, list[str | int | None]] = {"boxes": ["found", 4], "scores": ["found"]}
    for name, shape in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["found"]))


def _top(g: Nodes, values: str, count: str, output: str) -> str:
    """`output`, the `count` (1,) largest of values (D,), largest first; returns where they were."""
    where = f"{g.prefix}.{output}.where"
    g.graph.node.append(helper.make_node("TopK", [values, count], [output, where], name=where))
    return where


def _append_vote(
    g: Nodes, limits: Limits, kept: tuple[str, str, str], voters: tuple[str, str]
) -> None:
    """`boxes`, `scores`, `labels` from those kept: the last steps of `detector.detections.select`.

    kept: boxes (D, 4), scores (D,), labels (D,). voters: as `_polled` takes them.
    """
    placed, agreed = _polled(g, limits.vote, kept[:2], voters)
    values = g.op("Mul", kept[1], agreed)
    enough = g.op("GreaterOrEqual", values, g.const(limits.score))
    shown = g.op("ReduceSum", g.op("Cast", enough, to=TensorProto.INT64), keepdims=1)
    best = _top(g, values, shown, "scores")
    g.op("Gather", placed, best, axis=0, output="boxes")
    g.op("Gather", kept[2], best, axis=0, output="labels")


def _polled(
    g: Nodes, spread: float, kept: tuple[str, str], voters: tuple[str, str]
) -> tuple[str, str]:
    """Boxes (D, 4) and agreement (D,), as `detector.detections.voted`.

    kept: boxes (D, 4), scores (D,). voters: all boxes (A, 4), and what each scores for the class of
    each that is kept (D, A).
    """
    overlap = _overlap(g, kept[0], voters[0])  # (D, A)
    needed = g.op("Mul", g.op("Unsqueeze", kept[1], g.const([1], np.int64)), g.const(VOTER))
    above = g.op("Max", g.op("Sub", voters[1], needed), g.const(0.0))
    above = g.op("Mul", above, g.to_float(g.op("Greater", overlap, g.const(0.0))))
    away = g.op("Sub", g.const(1.0), overlap)
    width = g.const(-AGREEING * max(spread, LEAST_SPREAD))
    near = g.op("Exp", g.op("Div", g.op("Mul", away, away), width))
    around = g.op("Mul", near, above)
    shared = _sum(g, g.op("Mul", around, overlap))
    share = g.op("Div", shared, g.op("Max", _sum(g, around), g.const(TINY)))
    twice = g.op("Mul", near, near)
    votes = g.op("Mul", g.op("Mul", twice, twice), above)
    total = _sum(g, votes)
    mean = g.op("Div", g.op("MatMul", votes, voters[0]), g.op("Max", total, g.const(TINY)))
    inside = g.op("Clip", mean, g.const(0.0), g.const(1.0))  # whatever rounding does
    voted = g.op("Greater", total, g.const(TINY))
    agreed = g.op("Where", voted, g.op("Min", share, g.const(1.0)), g.const(1.0))
    placed = g.op("Where", voted, inside, kept[0])
    return placed, g.op("Squeeze", agreed, g.const([1], np.int64))


def _sum(g: Nodes, x: str) -> str:
    """(D, A) to (D, 1)."""
    return g.op("ReduceSum", x, g.const([1], np.int64), keepdims=1)


def _overlap(g: Nodes, a: str, b: str) -> str:
    """Pairwise IoU of (D, 4) and (A, 4) xyxy: (D, A)."""
    a = g.op("Unsqueeze", a, g.const([1], np.int64))
    b = g.op("Unsqueeze", b, g.const([0], np.int64))
    corners = [halves(g, x) for x in (a, b)]
    low = g.op("Max", corners[0][0], corners[1][0])
    high = g.op("Min", corners[0][1], corners[1][1])
    both = _area(g, low, high)
    union = g.op("Sub", g.op("Add", *(_area(g, *pair) for pair in corners)), both)
    return g.op("Div", both, g.op("Max", union, g.const(TINY)))


def _area(g: Nodes, low: str, high: str) -> str:
    """Of boxes from their corners (..., 2): (...)."""
    sides = g.op("Max", g.op("Sub", high, low), g.const(0.0))
    # ReduceProd would do, but ONNX Runtime's makes a wrong shape of no boxes at all.
    width, height = (g.op("Gather", sides, g.const(side, np.int64), axis=-1) for side in (0, 1))
    return g.op("Mul", width, height)


def _of_area(g: Nodes, boxes: str) -> str:
    """`all.scores`, but 0 for boxes (1, A, 4) that lie outside of the frame."""
    low, high = halves(g, boxes)
    side = g.op("ReduceMin", g.op("Sub", high, low), g.const([-1], np.int64), keepdims=1)
    inside = g.to_float(g.op("Greater", side, g.const(0.0)))
    return g.op("Mul", "all.scores", inside)
