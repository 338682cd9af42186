"""Whether an exported file, in its own runtime, finds what the network in torch does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from detector.data.example import Dataset
from detector.detections import Detections, select
from detector.evaluation.coco import measure_pictures
from detector.evaluation.run import Finder, detect_pictures
from detector.export.formats import Runner
from detector.export.interface import Order
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import images_to_input
from detector.predictor import Timing
from detector.preprocess import to_batch

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
# What counts as agreement: boxes in pixels of the picture, scores, and points of AP.
MOST_PX, MOST_SCORE, MOST_AP = 0.5, 0.01, 0.1
SEEN = 0.01  # boxes are compared where torch scores some class as much


@dataclass(frozen=True)
class Agreement:
    """The largest differences from torch that were met. ap: of the file, in percent, or None.

    boxes_px: between boxes of anchors that score SEEN or more, in pixels of their picture; after
    NMS between the same detections. scores: of all anchors and classes; 1 for a detection that only
    one of the two has. best: torch's highest score, so that one knows there was something to see.
    """

    boxes_px: float
    scores: float
    best: float
    ap: float | None = None
    torch_ap: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the file may be shipped."""
        if not (self.boxes_px <= MOST_PX and self.scores <= MOST_SCORE):  # NaN is no agreement
            return False
        if self.ap is None or self.torch_ap is None or np.isnan(self.torch_ap):
            return True
        return abs(self.ap - self.torch_ap) <= MOST_AP


def agreement(order: Order, run: Runner, frames: Iterable[UInt8]) -> tuple[float, float, float]:
    """Agreement's `boxes_px`, `scores` and `best` over frames (H, W, 3) BGR of any sizes."""
    px = scores = best = 0.0
    network = torch_runner(order)
    for frame in frames:
        batch = to_batch(frame, (order.size, order.size))
        theirs = network(batch)
        compared = _detections_apart if order.outputs == "nms" else _anchors_apart
        apart = compared(order, run(batch), (theirs["boxes"][0], theirs["scores"][0]), frame.shape)
        # np.maximum keeps a NaN, which max would lose.
        px, scores = float(np.maximum(px, apart[0])), float(np.maximum(scores, apart[1]))
        best = max(best, float(theirs["scores"].max()))
    return px, scores, best


def torch_runner(order: Order) -> Runner:
    """The network itself, in torch and unfused: `boxes` (1, A, 4), `scores` (1, A, K)."""
    model = order.model.eval()
    anchors = anchors_cxcywh(model.anchors, (order.size, order.size))

    @torch.inference_mode()
    def run(batch: UInt8) -> dict[str, npt.NDArray[Any]]:
        rgb = torch.from_numpy(np.ascontiguousarray(batch[..., ::-1])).permute(0, 3, 1, 2)
        logits, offsets = model(images_to_input(rgb))
        return {"boxes": decode(offsets, anchors).numpy(), "scores": logits.sigmoid().numpy()}

    return run


def decoded(order: Order, outputs: Mapping[str, npt.NDArray[Any]]) -> tuple[Float32, Float32]:
    """boxes (A, 4), scores (A, K) from what a file with outputs "boxes" or "raw" gave."""
    first, second = (np.asarray(outputs[name], np.float32)[0] for name in order.output_names)
    if order.outputs == "boxes":
        return first, second
    anchors = anchors_cxcywh(order.model.anchors, (order.size, order.size))
    boxes = decode(torch.from_numpy(second), anchors).numpy()
    return boxes, torch.from_numpy(first).sigmoid().numpy()


def found_by(
    order: Order, outputs: Mapping[str, npt.NDArray[Any]], frame_hw: tuple[int, ...]
) -> Detections:
    """A file's detections in a frame, NMS done here where the file does not do it."""
    names = order.card.class_names
    if order.outputs != "nms":
        return select(*decoded(order, outputs), frame_hw, names, order.limits())
    height, width = frame_hw[:2]
    boxes = np.asarray(outputs["boxes"], np.float32) * np.array(
        [width, height, width, height], np.float32
    )
    scores, labels = (
        np.asarray(outputs["scores"], np.float32),
        np.asarray(outputs["labels"], np.int64),
    )
    return Detections(boxes, scores, labels, names)


class ExportedDetector:
    """A file in its runtime as the evaluation takes it."""

    def __init__(self, order: Order, run: Runner) -> None:
        self.class_names = order.card.class_names
        self._order, self._run = order, run

    def detect_timed(self, frame_bgr: UInt8) -> tuple[Detections, Timing]:
        """See `detector.predictor.Detector`."""
        start = time.perf_counter()
        outputs = self._run(to_batch(frame_bgr, (self._order.size, self._order.size)))
        infer_ms = 1e3 * (time.perf_counter() - start)
        return found_by(self._order, outputs, frame_bgr.shape[:2]), Timing(0.0, infer_ms, 0.0)


def average_precision(finder: Finder, data: Dataset) -> float:
    """COCO's AP in percent; NaN where the data has none of the classes."""
    run = detect_pictures(finder, data.examples, data.class_names)
    return measure_pictures(run.pictures, len(data.class_names))["AP"]


def _anchors_apart(
    order: Order,
    outputs: Mapping[str, npt.NDArray[Any]],
    theirs: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    frame_hw: tuple[int, ...],
) -> tuple[float, float]:
    """Largest differences of boxes in pixels and of scores."""
    boxes, scores = decoded(order, outputs)
    height, width = frame_hw[:2]
    seen = np.max(theirs[1], axis=1) >= SEEN
    clipped = np.clip(boxes[seen], 0, 1) - np.clip(np.float32(theirs[0][seen]), 0, 1)
    px = np.abs(clipped * np.array([width, height, width, height], np.float32))
    return float(px.max(initial=0)), float(np.abs(scores - np.float32(theirs[1])).max())


def _detections_apart(
    order: Order,
    outputs: Mapping[str, npt.NDArray[Any]],
    theirs: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    frame_hw: tuple[int, ...],
) -> tuple[float, float]:
    """The same of detections after NMS."""
    ours = found_by(order, outputs, frame_hw)
    boxes, scores = np.asarray(theirs[0], np.float32), np.asarray(theirs[1], np.float32)
    expected = select(boxes, scores, frame_hw[:2], order.card.class_names, order.limits())
    # What lies as close as scores may differ to the threshold, or to the last of `top_k`, which are
    # counted before they vote, may be in one of them only.
    limits = replace(order.limits(), vote=0)
    cut = select(boxes, scores, frame_hw[:2], order.card.class_names, limits)
    lowest = float(cut.scores.min()) if len(cut) == order.top_k else 0.0
    needed = max(order.score, lowest) + MOST_SCORE
    px = apart = 0.0
    for one, other in ((ours, expected), (expected, ours)):
        for box, score, label in zip(one.xyxy, one.scores, one.labels, strict=True):
            same = other.labels == label
            far = np.abs(other.xyxy[same] - box).max(axis=1, initial=0)
            near = far <= MOST_PX
            if near.any():
                px = max(px, float(far[near].min()))
                apart = max(apart, float(np.abs(other.scores[same][near] - score).min()))
            elif score > needed:
                apart = 1.0
    return px, apart
