"""A model file and pictures in, Detections out."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from detector import metadata
from detector.detections import Detections, Float32, nms
from detector.engine import has_int8_dot, load_engine
from detector.errors import DetectorError
from detector.images import as_bgr, read_image
from detector.preprocess import to_batch

WEIGHTS = Path(__file__).parent / "weights"
COCO_FLOAT = WEIGHTS / "ssdlite_mobilenet_v2_coco.onnx"
COCO_INT8 = WEIGHTS / "ssdlite_mobilenet_v2_coco-int8.onnx"
PRECISIONS = ("auto", "float", "int8")
SIZES = (96, 1280)  # smaller leaves the last maps nothing to see, larger only wastes memory


@dataclass(frozen=True)
class Timing:
    """Milliseconds one frame took: resize, network, and thresholds with NMS."""

    pre_ms: float
    infer_ms: float
    post_ms: float


class Detector:
    """Finds objects in pictures.

    model: an `.onnx` file written by this project, or "coco" for the embedded one (80 classes).
    engine: "openvino" or "onnxruntime". precision: "float", "int8", or "auto", which takes int8
    where the CPU is faster at it; it chooses between the embedded model's two files, or between
    `NAME.onnx` and `NAME-int8.onnx` beside it. size: side of the network's input in pixels, default
    what the model was trained at; more finds smaller objects and takes longer. score, iou:
    thresholds in 0..1, default the model's own. classes: names to look for, default all. top_k:
    at most so many detections a picture. threads: cores to use, 0 for all. streams: inferences to
    run side by side when several threads call `detect_timed`.

    Raises DetectorError for any of these that makes no sense, naming what would.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "coco",
        *,
        engine: str = "openvino",
        precision: str = "auto",
        size: int | None = None,
        score: float | None = None,
        iou: float | None = None,
        classes: Sequence[str] | None = None,
        top_k: int = 100,
        threads: int = 0,
        streams: int = 1,
    ) -> None:
        self.path = choose_file(model, precision)
        self.metadata = metadata.read(self.path)
        self.class_names = self.metadata.class_names
        self.score = in_unit("score", self.metadata.score if score is None else score)
        self.iou = in_unit("iou", self.metadata.iou if iou is None else iou)
        if top_k < 1:
            raise DetectorError(f"top_k is {top_k}; expected 1 or more")
        if threads < 0:
            raise DetectorError(f"threads is {threads}; expected 1 or more, or 0 for all cores")
        self.top_k = top_k
        self._columns = _columns(self.class_names, classes)
        side = size or self.metadata.input_size
        if not SIZES[0] <= side <= SIZES[1]:
            raise DetectorError(f"size is {side} px; expected {SIZES[0]} to {SIZES[1]}")
        self.size_hw = (side, side)
        self.engine = load_engine(
            self.path, self.size_hw, name=engine, threads=threads, streams=streams
        )

    @overload
    def __call__(self, source: str | os.PathLike[str] | npt.NDArray[np.generic]) -> Detections: ...
    @overload
    def __call__(self, source: list[object] | tuple[object, ...]) -> list[Detections]: ...
    @overload
    def __call__(self, source: Iterator[object]) -> Iterator[Detections]: ...
    @overload
    def __call__(self, source: object) -> Detections: ...

    def __call__(
        self, source: object
    ) -> Detections | list[Detections] | Iterator[Detections]:
        """Detect in one picture, or in each of several.

        source: a path, an array (H, W, 3) BGR as OpenCV reads it (gray and BGRA too), or a PIL
        image gives Detections; a list of those gives a list; a generator gives a generator, which
        takes pictures only as it is asked for results.
        """
        if isinstance(source, (list, tuple)):
            return [self._one(item) for item in source]
        if isinstance(source, Iterable) and not isinstance(source, (str, np.ndarray)):
            if not hasattr(source, "convert"):  # PIL images have it
                return (self._one(item) for item in source)
        return self._one(source)

    def _one(self, source: object) -> Detections:
        if isinstance(source, (str, os.PathLike)):
            return self.detect_timed(read_image(os.fspath(source)))[0]
        return self.detect_timed(as_bgr(source))[0]

    def detect_timed(
        self, frame_bgr: npt.NDArray[np.uint8], score: float | None = None
    ) -> tuple[Detections, Timing]:
        """Detections in one frame (H, W, 3) uint8 BGR, and what they took. Safe from any thread."""
        start = time.perf_counter()
        batch = to_batch(frame_bgr, self.size_hw)
        prepared = time.perf_counter()
        boxes, scores = self.engine.infer(batch)
        inferred = time.perf_counter()
        found = self._select(boxes, scores, frame_bgr.shape[:2], self.score if score is None else score)
        done = time.perf_counter()
        return found, Timing(*(1e3 * s for s in (prepared - start, inferred - prepared, done - inferred)))

    def _select(
        self, boxes: Float32, scores: Float32, frame_hw: tuple[int, ...], threshold: float
    ) -> Detections:
        """boxes (A, 4) fractions, scores (A, K) -> what is above `threshold`, after NMS, in pixels."""
        if self._columns is not None:
            scores = np.ascontiguousarray(scores[:, self._columns])
        flat = np.flatnonzero(scores.ravel() >= threshold)  # one anchor may have several classes
        rows, labels = np.divmod(flat, scores.shape[1])
        height, width = frame_hw
        xyxy = np.clip(boxes[rows], 0, 1) * np.array([width, height, width, height], np.float32)
        values = scores.ravel()[flat]
        inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        xyxy, values, labels = xyxy[inside], values[inside], labels[inside]
        kept = nms(xyxy, values, labels, self.iou, self.top_k)
        if self._columns is not None:
            labels = self._columns[labels]
        return Detections(xyxy[kept], values[kept], labels[kept], self.class_names)


def choose_file(model: str | os.PathLike[str], precision: str) -> Path:
    """The model file that `model` and `precision` mean."""
    if precision not in PRECISIONS:
        raise DetectorError(f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}")
    if os.fspath(model) == "coco":
        return COCO_INT8 if precision == "int8" or (precision == "auto" and has_int8_dot()) else COCO_FLOAT
    path = Path(model)
    if precision == "auto":
        return path
    stem = path.stem.removesuffix("-int8")
    wanted = path.with_name(f"{stem}-int8.onnx" if precision == "int8" else f"{stem}.onnx")
    if path.exists() and not wanted.exists():
        raise DetectorError(f"{wanted}: no such file; {path.name} has no {precision} form beside it")
    return wanted


def in_unit(name: str, value: float) -> float:
    """`value`, if it is a number in 0..1."""
    if not 0 <= value <= 1:
        raise DetectorError(f"{name} is {value}; expected a number from 0 to 1")
    return value


def _columns(names: Sequence[str], wanted: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
    """Labels of the wanted class names, ascending; None for all."""
    if not wanted:
        return None
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(list(names)[:8])}, ..."
            raise DetectorError(f"class {name!r} is unknown to this model; {hint}")
    return np.array(sorted({names.index(name) for name in wanted}), np.int64)
