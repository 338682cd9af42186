"""What a run leaves: model files that say how good they are, weights, figures."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from detector.data.example import Dataset
from detector.evaluation.analysis import Analysis
from detector.evaluation.metrics import as_metrics
from detector.export.faithful import faithful_onnx
from detector.export.int8_options import Int8Options
from detector.export.onnx import write
from detector.export.verified import DEFAULT, Int8, quantize_to_drop
from detector.model import checkpoint
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite
from detector.outfile import write_whole
from detector.training.judge import Measured, measure

FLOAT, INT8, WEIGHTS, METRICS = (
    "model.onnx",
    "model-int8.onnx",
    "weights.safetensors",
    "metrics.json",
)
ENOUGH = 20  # labelled boxes, to choose a score threshold by


@dataclass(frozen=True)
class ModelFile:
    """A model file that was written, its bytes, and how it did on the validation pictures.

    int8: how it was quantised, of those that are.
    """

    path: Path
    size: int
    measured: Measured
    int8: Int8 | None = None


def write_models(
    folder: Path,
    model: SSDLite,
    card: ModelCard,
    train: Dataset,
    val: Dataset,
    say: Callable[[str], None],
    options: Int8Options = DEFAULT,
) -> list[ModelFile]:
    """weights.safetensors, model.onnx and model-int8.onnx, the latter two measured on all of val.

    card.trained_on: what the data is called. options: of the int8 file. DetectorError where a file
    cannot be written.
    """
    checkpoint.save(folder / WEIGHTS, model, card)
    say("writing model.onnx and measuring it")
    float_path = folder / FLOAT
    proto = faithful_onnx(model, card, train.examples, say)
    files = [_write_measured(float_path, proto, card.trained_on, val)]
    say("quantising to int8 on training pictures and measuring it")
    data = train, val, card.trained_on
    floats = files[0].measured
    files.append(write_int8(float_path, folder / INT8, *data, floats, say, options))
    return files


def write_int8(
    float_path: Path,
    out: Path,
    train: Dataset,
    val: Dataset,
    name: str,
    floats: Measured,
    say: Callable[[str], None],
    options: Int8Options = DEFAULT,
) -> ModelFile:
    """The int8 form of a float file, which does as `floats` says on val, measured on all of val.

    train decides which layers are int8, never val. name: what the data is called. options:
    see `quantize_to_drop`, whose DetectorErrors it raises, and others for a place that
    cannot be written.
    """
    int8 = quantize_to_drop(float_path, train, name, say, options)
    say(int8.sentence())
    annotate(int8.proto, {**int8.notes(), "float_ap": f"{floats.analysis.figures['AP']:.2f}"})
    return replace(_write_measured(out, int8.proto, name, val), int8=int8)


def _write_measured(path: Path, proto: onnx.ModelProto, name: str, val: Dataset) -> ModelFile:
    """Measure a model file before it takes its place, so that what it says of itself is whole."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        unmeasured = Path(scratch) / path.name
        write(unmeasured, proto)
        measured = measure(unmeasured, val.examples, val.class_names)
    figures = measured.analysis.figures
    notes = {
        "ap": f"{figures['AP']:.2f}",
        "ap50": f"{figures['AP50']:.2f}",
        "ap_on": f"{name}, {measured.analysis.pictures} val pictures",
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
            **_int8_metrics(file.int8),
        }
        for file in files
    }
    content: dict[str, object] = {**about, "models": models}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_whole(folder / METRICS, (text + "\n").encode(), "train:")
    return content


def _int8_metrics(int8: Int8 | None) -> dict[str, object]:
    """What metrics.json says of how a file was quantised."""
    if int8 is None:
        return {}
    lost, plain = (None if math.isnan(d) else round(d, 3) for d in (int8.drop, int8.plain_drop))
    return {
        "kept_in_float": list(int8.kept),
        "kept_in_float_bytes": int8.grown,
        "fine_tuned_views": int8.views,
        "held_back": {
            "training_pictures": int8.held,
            "AP_lost": lost,
            "AP_lost_as_first_quantised": plain,
        },
    }
