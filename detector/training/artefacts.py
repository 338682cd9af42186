"""What a run leaves: model files that say how good they are, weights, figures."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from detector.data.example import Dataset, Example
from detector.errors import DetectorError
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
TRUTH = "val.json"
CALIBRATION = 300  # training pictures, at most


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
    measured = measure(path, val.examples, path.parent / TRUTH)
    figures = measured.figures
    notes = {
        "ap": f"{figures['AP']:.2f}",
        "ap50": f"{figures['AP50']:.2f}",
        "ap_on": f"{card.trained_on}, {measured.pictures} val pictures",
    }
    annotate(proto, notes)
    write(path, proto)
    return ModelFile(path, path.stat().st_size, measured)


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
    folder: Path, files: list[ModelFile], about: Mapping[str, object]
) -> dict[str, object]:
    """metrics.json: `about` the run, and each model file's figures (nan as null)."""
    models = {
        file.path.name: {
            **{
                name: None if value != value else round(value, 3)
                for name, value in file.measured.figures.items()
            },
            "bytes": file.size,
            "latency_ms": round(file.measured.latency_ms, 2),
            "val_pictures": file.measured.pictures,
        }
        for file in files
    }
    content: dict[str, object] = {**about, "models": models}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_whole(folder / METRICS, (text + "\n").encode(), "train:")
    return content
