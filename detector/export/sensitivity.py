"""How much each int8 layer alone moves the outputs of a network: who is to blame for a drop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from detector.cpu import usable_cores
from detector.detections import pairwise_iou
from detector.engine import Engine, Outputs, load_engine
from detector.export.restore import restore

BEST = 100  # anchors of a picture, those that score highest in float: the rest is background
Batches = Sequence[npt.NDArray[np.uint8]]


def ranked(
    int8: onnx.ModelProto,
    floats: onnx.ModelProto,
    layers: Collection[str],
    batches: Batches,
    told: Callable[[int], None] = lambda done: None,
) -> list[tuple[str, float]]:
    """The layers with their `drift`s, the worst first.

    Of each, that of a graph in which it alone is int8: so a layer is not blamed for what another
    one before it has spoilt. layers: names of nodes. batches: (1, h, w, 3) uint8 BGR, of one size.
    told: how many layers are done.
    """
    wanted = outputs(floats, batches)
    found = []
    for done, name in enumerate(layers, 1):
        others = [other for other in layers if other != name]
        found.append((name, drift(wanted, outputs(restore(int8, floats, others), batches))))
        told(done)
    return sorted(found, key=lambda one: -one[1])


def drift(wanted: Sequence[Outputs], given: Sequence[Outputs]) -> float:
    """How far boxes and scores are from those of float, without a unit; 0 for the same.

    Over each picture's BEST anchors: the mean change of their scores as a share of the mean score,
    plus the mean of 1 - IoU.
    """
    shares = []
    for (boxes, scores), (boxes8, scores8) in zip(wanted, given, strict=True):
        best = np.argsort(-scores.max(axis=1), kind="stable")[:BEST]
        change = np.abs(scores8[best] - scores[best]).max(axis=1).mean()
        level = scores[best].max(axis=1).mean()
        overlap = pairwise_iou(boxes[best], boxes8[best]).diagonal().mean()
        shares.append(change / max(level, 1e-9) + 1 - overlap)
    return float(np.mean(shares))


def outputs(proto: onnx.ModelProto, batches: Batches) -> list[Outputs]:
    """Boxes (A, 4) and scores (A, K) of each batch, by ONNX Runtime, which is quick to load."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        engine: Engine = load_engine(
            path, batches[0].shape[1:3], name="onnxruntime", threads=usable_cores(), streams=1
        )
        results = [engine.infer(batch) for batch in batches]
    return [(boxes.copy(), scores.copy()) for boxes, scores in results]
