"""What a run leaves: model files that say how good they are, weights, figures."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from detector.data.example import Dataset, Example
from detector.errors import DetectorError
from detector.evaluation.analysis import Analysis
from detector.evaluation.metrics import as_metrics
from detector.export.onnx import to_onnx, write
from detector.export.quantize import quantize
from detector.images import read_image
from detector.model import checkpoint
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite
from detector.outfile import write_whole
from detector.training.judge import Measured, measure, thinned

FLOAT, INT8, WEIGHTS, METRICS = (
    "model.onnx",
    "model-int8.onnx",
    "weights.safetensors",
    "metrics.json",
)
CALIBRATION = 300  # training pictures, at most
ENOUGH = 20  # labelled boxes, to choose a score threshold by


@dataclass(frozen=True)
class ModelFile:
    """A model file that was written, its bytes, and how it did on the validation pictures."""

    path: Path
    size: int
    measured: Measured


def write_models(
    folder: Path,
    model: SSDLite,
    card: ModelCard,
    train: Dataset,
    val: Dataset,
    say: Callable[[str], None],
) -> list[ModelFile]:
    """weights.safetensors, model.onnx and model-int8.onnx, the latter two measured on all of val.

    card.trained_on: what the data is called. DetectorError where a file cannot be written.
    """
    checkpoint.save(folder / WEIGHTS, model, card)
    say("writing model.onnx and measuring it")
    float_path = folder / FLOAT
    files = [_write_measured(float_path, to_onnx(model, card, {}), card, val)]
    pictures = _readable(thinned(train.examples, CALIBRATION))
    say(f"quantising to int8 on {len(pictures)} training pictures and measuring it")
    note = {"calibrated_on": f"{card.trained_on}, {len(pictures)} training pictures"}
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        int8 = quantize(float_path, pictures, note)
    files.append(_write_measured(folder / INT8, int8, card, val))
    return files


def _write_measured(path: Path, proto: onnx.ModelProto, card: ModelCard, val: Dataset) -> ModelFile:
    """Write a model file, measure it, and write it again with what came out."""
    write(path, proto)
    measured = measure(path, val.examples)
    figures = measured.analysis.figures
    notes = {
        "ap": f"{figures['AP']:.2f}",
        "ap50": f"{figures['AP50']:.2f}",
        "ap_on": f"{card.trained_on}, {measured.analysis.pictures} val pictures",
    }
    score = default_score(measured.analysis)
    if score is not None:
        notes["score"] = f"{score:.2f}"
    annotate(proto, notes)
    write(path, proto)
    return ModelFile(path, path.stat().st_size, measured)


def default_score(analysis: Analysis) -> float | None:
    """The score threshold a model file should start with: the one of the best F1 over all classes.

    Kept within 0.2 .. 0.6, for the best F1 of a small val split may lie anywhere; None, to leave it
    as it is, below 20 labelled boxes, where it is chance.
    """
    if sum(one.truths for one in analysis.classes) < ENOUGH or not math.isfinite(
        analysis.threshold
    ):
        return None
    return min(max(analysis.threshold, 0.2), 0.6)


def annotate(proto: onnx.ModelProto, notes: Mapping[str, str]) -> None:
    """Add notes to a model's metadata, in place."""
    props = {entry.key: entry.value for entry in proto.metadata_props}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**props, **notes})


def _readable(examples: list[Example]) -> list[Path]:
    """Paths of the examples whose picture can be read."""
    paths = []
    for example in examples:
        try:
            read_image(example.path)
        except DetectorError:
            continue  # counted when the run began
        paths.append(example.path)
    return paths


def write_metrics(
    folder: Path, files: Sequence[ModelFile], about: Mapping[str, object]
) -> dict[str, object]:
    """metrics.json: `about` the run, and what is known of each model file (nan as null)."""
    models = {
        file.path.name: {
            **as_metrics(file.measured.analysis),
            "bytes": file.size,
            "latency_ms": round(file.measured.latency_ms, 2),
            "val_pictures": file.measured.analysis.pictures,
        }
        for file in files
    }
    content: dict[str, object] = {**about, "models": models}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_whole(folder / METRICS, (text + "\n").encode(), "train:")
    return content
