"""A model file and pictures in, Detections out."""

from __future__ import annotations

import difflib
import operator
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from detector import metadata
from detector.cpu import has_int8_dot, usable_cores
from detector.cutting import MAX_TILES
from detector.detections import Detections, Limits, select
from detector.engine import Outputs, load_engine
from detector.errors import DetectorError
from detector.images import as_bgr, read_image
from detector.preprocess import to_batch
from detector.scales import Passes, in_order, shares
from detector.tiles import Tiles

WEIGHTS = Path(__file__).parent / "weights"
COCO_FLOAT = WEIGHTS / "ssdlite_mobilenet_v2_coco.onnx"
COCO_INT8 = WEIGHTS / "ssdlite_mobilenet_v2_coco-int8.onnx"
PRECISIONS = ("auto", "float", "int8")
SIZES = (96, 1280)  # smaller leaves the last maps nothing to see, larger only wastes memory
MAX_THREADS = 1024

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Timing:
    """Milliseconds one frame took: resize, network, and thresholds with NMS.

    Tiles are cut and resized while the network is at work, so that is part of the network's.
    """

    pre_ms: float
    infer_ms: float
    post_ms: float


class Detector:
    """Finds objects in pictures.

    model: an `.onnx` file written by this project, or "coco" for the embedded one (80 classes).
    engine: "openvino" or "onnxruntime". precision: "float" or "int8" choose between `NAME.onnx` and
    `NAME-int8.onnx` beside it; "auto" runs the file named, and of the embedded model int8 where CPU
    and engine are faster at it. size: side of the network's input in pixels, default what the model
    was trained at; more finds smaller objects and takes longer. scales: several sizes at once
    instead, such as (300, 512): large objects from the small input, small ones from the large one.
    tiles: for small objects in large pictures, look also at overlapping parts, so many along the
    longer side; 1 for none. score, iou: thresholds in 0..1, default the model's own. classes: names
    to look for, default (or none) all. top_k: at most so many detections a picture, default
    the model's own, mostly 100. vote: how much boxes that overlap them pull them, 0..1, default
    the model's own; 0 leaves boxes and scores as the network has them. threads: cores to use, 0 for
    all. streams: inferences to run side by side when several threads call `detect_timed`; with
    tiles always as many as cores.

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
        top_k: int | None = None,
        vote: float | None = None,
        threads: int = 0,
        streams: int = 1,
        scales: Sequence[int] | None = None,
        tiles: int = 1,
    ) -> None:
        self.path = choose_file(model, precision, engine)
        self.metadata = metadata.read(self.path)
        _check_precision(self.path, self.metadata.precision, precision)
        self.class_names = self.metadata.class_names
        self.score = in_unit("score", self.metadata.score if score is None else score)
        self.iou = in_unit("iou", self.metadata.iou if iou is None else iou)
        shown = self.metadata.top_k if top_k is None else top_k
        self.top_k = in_range("top_k", shown, 1, metadata.MAX_TOP_K)
        self.vote = in_unit("vote", self.metadata.vote if vote is None else vote)
        self._columns = _columns(self.class_names, classes)
        native = self.metadata.input_size
        self.sizes, self.tiles = _sizes(size, scales, native), _count_of_tiles(tiles, scales)
        threads = in_range("threads", threads, 0, MAX_THREADS)
        streams = in_range("streams", streams, 1, MAX_THREADS)
        if self.tiles > 1:  # one a core: more a second than each on all cores in turn
            streams = threads or usable_cores()
        engines = [
            load_engine(self.path, (side, side), name=engine, threads=threads, streams=streams)
            for side in self.sizes
        ]
        # Of several sizes the largest speaks for all: they differ in nothing else.
        self.engine, self.size_hw = engines[-1], (self.sizes[-1], self.sizes[-1])
        self._passes = Passes(engines, shares(self.sizes, native)) if len(engines) > 1 else None
        self._tiles = Tiles(self.engine, self.sizes[0], native, tiles) if self.tiles > 1 else None

    @property
    def at(self) -> str:
        """The input size in words: `300 px`, `300 + 512 px`, or `300 px, tiles 3`."""
        tiles = f", tiles {self.tiles}" if self.tiles > 1 else ""
        return " + ".join(map(str, self.sizes)) + " px" + tiles

    # Any hides what no signature can tell: a list of pictures from a list of anything else.
    @overload
    def __call__(self, source: list[Any] | tuple[Any, ...]) -> list[Detections]: ...
    @overload
    def __call__(self, source: str | os.PathLike[str] | npt.NDArray[Any]) -> Detections: ...
    @overload
    def __call__(self, source: Iterator[Any]) -> Iterator[Detections]: ...
    @overload
    def __call__(self, source: Any) -> Any: ...

    def __call__(self, source: Any) -> Detections | list[Detections] | Iterator[Detections]:
        """Detect in one picture, or in each of several.

        source: a path, an array (H, W, 3) BGR as OpenCV reads it (gray and BGRA too), or a PIL
        image gives Detections; a list or tuple of those gives a list; a generator (any iterator)
        gives a generator, which takes pictures only as it is asked for results.
        Raises DetectorError for anything else and for pictures that cannot be read.
        """
        if isinstance(source, (list, tuple)):
            return list(self._each(source))
        if isinstance(source, Iterator):
            return self._each(source)
        return self._one(source)

    def _each(self, sources: Iterable[object]) -> Iterator[Detections]:
        for number, source in enumerate(sources):
            yield self._one(source, f"picture {number}: ")

    def _one(self, source: object, prefix: str = "") -> Detections:
        try:
            return self.detect_timed(_picture(source))[0]
        except DetectorError as error:
            raise DetectorError(f"{prefix}{error}") from error

    def detect_timed(
        self, frame_bgr: UInt8, score: float | None = None
    ) -> tuple[Detections, Timing]:
        """Detections in one frame (H, W, 3) uint8 BGR, and what they took. Safe from any thread.

        score: a threshold in 0..1 for this frame only.
        """
        start = time.perf_counter()
        threshold = self.score if score is None else score
        sides = () if self._tiles else self.sizes
        batches = [to_batch(frame_bgr, (side, side)) for side in sides]
        prepared = time.perf_counter()
        limits = Limits(threshold, self.iou, self.top_k, self.vote)
        boxes, scores = self._infer(frame_bgr, batches, limits.least)
        if scores.shape[1] != len(self.class_names):
            raise DetectorError(
                f"{self.path}: scores {scores.shape[1]} classes but names "
                f"{len(self.class_names)}; export it again"
            )
        inferred = time.perf_counter()
        seen = frame_bgr.shape[:2]
        found = select(boxes, scores, seen, self.class_names, limits, self._columns)
        done = time.perf_counter()
        seconds = (prepared - start, inferred - prepared, done - inferred)
        return found, Timing(*(1e3 * s for s in seconds))

    def _infer(self, frame_bgr: UInt8, batches: Sequence[UInt8], score: float) -> Outputs:
        """Boxes and scores, of one look or of several made one. score: what a row must have."""
        if self._tiles is not None:
            return self._tiles.infer(frame_bgr, score)
        if self._passes is not None:
            return self._passes.infer(batches)
        return self.engine.infer(batches[0])


def _sizes(size: int | None, scales: Sequence[int] | None, native: int) -> list[int]:
    """The sides of every pass, ascending; DetectorError for sides that cannot be."""
    if scales is None:
        return [in_range("size", native if size is None else size, *SIZES)]
    if size is not None:
        raise DetectorError(f"size {size} and scales exclude each other; name all in scales")
    return in_order([in_range("scales", side, *SIZES) for side in scales])


def _count_of_tiles(tiles: int, scales: Sequence[int] | None) -> int:
    """`tiles`, if there can be so many; DetectorError if not, and together with scales."""
    count = in_range("tiles", tiles, 1, MAX_TILES)
    if count > 1 and scales is not None:
        raise DetectorError(f"tiles {count} and scales exclude each other; choose one")
    return count


def _picture(source: object) -> UInt8:
    """What one source shows, (H, W, 3) BGR."""
    if isinstance(source, (str, os.PathLike)):
        return read_image(os.fsdecode(source))
    if isinstance(source, np.ndarray) or hasattr(source, "getexif"):  # PIL images have it
        return as_bgr(source)
    raise DetectorError(
        f"got {type(source).__name__}; expected a picture: a path, a NumPy array or a PIL image; "
        "or a list, tuple or generator of pictures"
    )


def choose_file(model: str | os.PathLike[str], precision: str, engine: str = "openvino") -> Path:
    """The model file that `model` and `precision` mean; DetectorError when there is none such.

    Of the embedded model, "auto" is the faster one on this CPU: with ONNX Runtime always float
    (int8 takes it 2 to 4 times as long, and OpenVINO half as long: docs/speed.md).
    """
    if precision not in PRECISIONS:
        raise DetectorError(
            f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}"
        )
    if not isinstance(model, (str, os.PathLike)):
        raise DetectorError(f"model is {model!r}; expected a path to an .onnx file, or 'coco'")
    if os.fspath(model) == "coco":
        faster = engine == "openvino" and has_int8_dot()
        return COCO_INT8 if precision == "int8" or (precision == "auto" and faster) else COCO_FLOAT
    path = Path(os.fsdecode(model))
    if precision == "auto" or not path.name:
        return path
    stem = path.stem.removesuffix("-int8") + ("-int8" if precision == "int8" else "")
    wanted = path.with_name(stem + path.suffix)
    if path.exists() and not wanted.exists():
        raise DetectorError(
            f"{wanted}: no such file; {path.name} has no {precision} form beside it"
        )
    return wanted


def _check_precision(path: Path, held: str, asked: str) -> None:
    """DetectorError where a file is not what its name says and what was asked for."""
    if asked != "auto" and (asked == "int8") != (held == "int8"):
        raise DetectorError(
            f"{path}: holds {held} whatever its name, and not the {asked} asked for; precision "
            "auto runs it as it is"
        )


def in_unit(name: str, value: float) -> float:
    """`value` as a float, if it is a number in 0..1; NaN is not."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number <= 1:
        raise DetectorError(f"{name} is {value!r}; expected a number from 0 to 1")
    return number


def in_range(name: str, value: int, low: int, high: int) -> int:
    """`value` as an int, if it is a whole number in low..high."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise DetectorError(f"{name} is {value!r}; expected a whole number from {low} to {high}")
    return number


def _columns(names: Sequence[str], wanted: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
    """Labels of the wanted class names, ascending; None for all."""
    if not wanted:
        return None
    wanted = [wanted] if isinstance(wanted, str) else wanted
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(str(name).lower(), names, 1, cutoff=0.5)
            known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {known}"
            raise DetectorError(f"class {name!r} is unknown to this model; {hint}")
    return np.array(sorted({names.index(name) for name in wanted}), np.int64)
