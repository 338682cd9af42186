"""Everything that can run a model here, each as something that detects: loaded by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from detector import metadata
from detector.cpu import usable_cores
from detector.detections import Detections, Limits, select
from detector.errors import DetectorError
from detector.predictor import Detector, Timing, choose_file
from detector.preprocess import to_batch

if TYPE_CHECKING:
    from detector.evaluation.run import Finder

STREAMED = ("openvino", "onnxruntime")  # these run several inferences side by side
TORCH = ("torch", "torch-compile")
DEAR = ("torch-compile",)  # minutes of compiling: only when named
NEEDED = {
    **{"openvino": "openvino", "onnxruntime": "onnxruntime", "opencv": "cv2"},
    **dict.fromkeys(TORCH, "torch"),
}
PRECISIONS = ("int8", "float")
RUN_WEIGHTS = "weights.safetensors"  # what training leaves beside model.onnx


@dataclass(frozen=True)
class Setup:
    """One way to run a model. path: its file. precision: "float" or "int8". size: side in pixels.

    threads: cores to use, at least 1.
    """

    engine: str
    precision: str
    path: str
    size: int
    threads: int


def model_files(
    model: str, precisions: Sequence[str], say: Callable[[str], None]
) -> dict[str, Path]:
    """The files that hold a model, by precision.

    precisions: those asked for, each of which must be there; none for what there is, and then `say`
    is told of what there is not. Raises DetectorError for a missing or damaged file.
    """
    if precisions:
        return {precision: _model_file(model, precision) for precision in precisions}
    named = choose_file(model, "auto")
    own = _held(named)
    files = {own: named}
    (other,) = (precision for precision in PRECISIONS if precision != own)
    try:
        files[other] = _model_file(model, other)
    except DetectorError as error:
        say(f"{other} is left out: {error}")
    return {precision: files[precision] for precision in PRECISIONS if precision in files}


def _model_file(model: str, precision: str) -> Path:
    path = choose_file(model, precision)
    if (holds := _held(path)) != precision:
        raise DetectorError(f"{path}: holds {holds} whatever its name")
    return path


def _held(path: Path) -> str:
    """The precision that a model file says it has."""
    return "int8" if metadata.read(path).precision == "int8" else "float"


def load_finder(setup: Setup, score: float, streams: int = 1) -> Finder:
    """The model, ready to detect; DetectorError or the engine's own error where it cannot be.

    score: threshold, 0..1. streams: inferences side by side, where it can.
    """
    return LOADERS[setup.engine](setup, score, streams)


def available(engine: str) -> bool:
    """Whether what the engine needs is installed; importing it is left to who loads it."""
    return find_spec(NEEDED[engine]) is not None


def weights_of(model: Path) -> Path | None:
    """The weights that a model file was made from, where they lie beside it, for torch."""
    stem = model.stem.removesuffix("-int8")
    for name in (f"{stem}.safetensors", RUN_WEIGHTS if stem == "model" else ""):
        if name and (path := model.with_name(name)).is_file():
            return path
    return None


class OpenCvDetector:
    """A model file in OpenCV's own DNN module; DetectorError where it cannot read or run it.

    OpenCV's threads are the whole process's: the last one loaded sets them.
    """

    def __init__(self, path: Path, side: int, *, score: float, threads: int = 0) -> None:
        about = metadata.read(path)
        self.class_names = about.class_names
        self.size_hw = (side, side)
        self.limits = Limits(score, about.iou, about.top_k, about.vote)
        cv2.setNumThreads(threads or usable_cores())
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
            self.infer(np.zeros((1, *self.size_hw, 3), np.uint8))
        except cv2.error as error:
            reason = str(error).partition("error: ")[2].split("\n")[0] or str(error)
            raise DetectorError(
                f"OpenCV {cv2.__version__} cannot run {path.name}: {reason.strip()}"
            ) from error

    def infer(
        self, batch: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """uint8 BGR (1, h, w, 3) -> boxes (A, 4) xyxy as fractions, scores (A, K)."""
        self._net.setInput(batch)
        boxes, scores = self._net.forward(["boxes", "scores"])
        return np.asarray(boxes[0], np.float32), np.asarray(scores[0], np.float32)

    def detect_timed(self, frame_bgr: npt.NDArray[np.uint8]) -> tuple[Detections, Timing]:
        """See `detector.predictor.Detector`."""
        start = time.perf_counter()
        batch = to_batch(frame_bgr, self.size_hw)
        prepared = time.perf_counter()
        boxes, scores = self.infer(batch)
        inferred = time.perf_counter()
        size_hw = frame_bgr.shape[:2]
        found = select(boxes, scores, size_hw, self.class_names, self.limits)
        done = time.perf_counter()
        seconds = (prepared - start, inferred - prepared, done - inferred)
        return found, Timing(*(1e3 * s for s in seconds))


def _runtime(setup: Setup, score: float, streams: int) -> Finder:
    return Detector(
        setup.path,
        engine=setup.engine,
        size=setup.size,
        score=score,
        threads=setup.threads,
        streams=streams,
    )


def _opencv(setup: Setup, score: float, streams: int) -> Finder:
    return OpenCvDetector(Path(setup.path), setup.size, score=score, threads=setup.threads)


def _torch(setup: Setup, score: float, streams: int) -> Finder:
    import torch

    from detector.evaluation.torch_detector import TorchDetector, measured_with
    from detector.model import checkpoint

    weights = weights_of(Path(setup.path))
    if weights is None:
        raise DetectorError(f"{setup.path}: no weights (.safetensors) beside it for torch")
    torch.set_num_threads(setup.threads)
    network, card = checkpoint.load(weights)
    finder = TorchDetector(network, card, setup.size, replace(measured_with(card), score=score))
    if setup.engine == "torch-compile":
        finder.model.compile()  # in place: what is called stays the module
    return finder


LOADERS: dict[str, Callable[[Setup, float, int], Finder]] = {
    **dict.fromkeys(STREAMED, _runtime),
    "opencv": _opencv,
    **dict.fromkeys(TORCH, _torch),
}
