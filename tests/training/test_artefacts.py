"""What model files and metrics.json say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from detector import metadata
from detector.data.example import Dataset
from detector.evaluation.analysis import Analysis
from detector.export.verified import Int8
from detector.training import artefacts
from detector.training.artefacts import ModelFile, annotate, default_score, write_metrics
from detector.training.judge import Measured


@pytest.fixture(scope="module")
def analysis(
    make_analysis: Callable[..., Analysis], tmp_path_factory: pytest.TempPathFactory
) -> Analysis:
    return make_analysis(tmp_path_factory.mktemp("pictures"), ["apple", "pear"])


@pytest.mark.parametrize(
    ("boxes", "threshold", "score"),
    [
        (20, 0.4375, 0.4375),
        (20, 0.01, 0.2),
        (20, 0.99, 0.6),
        (19, 0.4, None),
        (0, math.nan, None),
        (20, math.nan, None),
    ],
)
def test_the_score_to_start_with(
    analysis: Analysis, boxes: int, threshold: float, score: float | None
) -> None:
    counts = (boxes // 2, boxes - boxes // 2)
    classes = [replace(c, truths=n) for c, n in zip(analysis.classes, counts, strict=True)]
    assert default_score(replace(analysis, classes=classes, threshold=threshold)) == score


def test_metrics_hold_every_file_and_class(tmp_path: Path, analysis: Analysis) -> None:
    unknown = replace(analysis.classes[1], ap=np.nan)
    analysis = replace(analysis, classes=[analysis.classes[0], unknown])
    files = [ModelFile(tmp_path / "model.onnx", 123, Measured(analysis, 4.5678))]
    write_metrics(tmp_path, files, {"data": "mangó"})
    content = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert content["data"] == "mangó"
    model = content["models"]["model.onnx"]
    assert model["AP"] == pytest.approx(analysis.figures["AP"], abs=1e-3)
    assert (model["bytes"], model["latency_ms"], model["val_pictures"]) == (123, 4.57, 4)
    assert [one["name"] for one in model["classes"]] == ["apple", "pear"]
    assert model["classes"][0]["AP50"] == pytest.approx(analysis.classes[0].ap50, abs=1e-3)
    assert model["classes"][1]["AP"] is None


@pytest.mark.parametrize(("boxes", "score"), [(100, 0.3), (5, 0.5)])
def test_a_model_file_says_how_it_did_and_where_to_start(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boxes: int, score: float
) -> None:
    analysis = replace(
        analysis, threshold=0.3, classes=[replace(analysis.classes[0], truths=boxes)]
    )
    monkeypatch.setattr(artefacts, "measure", lambda *args: Measured(analysis, 1.0))
    proto = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    annotate(proto, metadata.describe(["apple"], 96))
    data = Dataset((), ("apple",))
    file = artefacts._write_measured(tmp_path / "m.onnx", proto, "orchard", data)
    told = metadata.read(file.path)
    assert told.score == score
    assert float(told.notes["ap"]) == pytest.approx(analysis.figures["AP"], abs=0.01)
    assert told.notes["ap_on"] == "orchard, 4 val pictures"
    assert file.size == file.path.stat().st_size


def test_an_int8_file_says_what_was_kept_and_what_it_cost(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    annotate(proto, metadata.describe(["apple"], 96, precision="int8"))
    int8 = Int8(proto, ("backbone.stem",), 90, 4, 2.0, 0.1234, 4096)
    asked: list[object] = []
    monkeypatch.setattr(artefacts, "quantize_to_drop", lambda *a: asked.extend(a) or int8)
    monkeypatch.setattr(artefacts, "measure", lambda *args: Measured(analysis, 1.0))
    train, val = (Dataset((), ("apple",), drawn=drawn) for drawn in (False, True))
    said: list[str] = []
    place = tmp_path / "m-int8.onnx"
    file = artefacts.write_int8(
        tmp_path / "m.onnx", place, train, val, "orchard", Measured(analysis, 2.0), said.append
    )
    assert train in asked
    assert val not in asked  # it is what the file is judged by
    assert "1 of 90 layers kept in float (backbone.stem)" in said[0]
    told = metadata.read(place)
    assert float(told.notes["float_ap"]) == pytest.approx(analysis.figures["AP"], abs=0.01)
    assert told.notes["kept_in_float"] == "backbone.stem"
    model = write_metrics(tmp_path, [file], {})["models"]["m-int8.onnx"]  # type: ignore[index]
    assert model["kept_in_float"] == ["backbone.stem"]
    assert model["held_back"] == {
        "training_pictures": 4,
        "AP_lost": 0.123,
        "AP_lost_as_first_quantised": 2.0,
    }
    assert model["fine_tuned_views"] == 0


def test_notes_are_added_to_those_there_are() -> None:
    proto = onnx.ModelProto()
    annotate(proto, {"score": "0.5", "ap": "1"})
    annotate(proto, {"score": "0.41"})
    assert {p.key: p.value for p in proto.metadata_props} == {"score": "0.41", "ap": "1"}
