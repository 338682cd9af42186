"""int8 to a stated drop: how pictures are divided, and the search for what to keep in float."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import metadata
from detector.data.example import Dataset, Example
from detector.errors import DetectorError
from detector.export import verified
from detector.export.onnx import write
from detector.export.quantize import float_graph
from detector.export.restore import int8_layers
from detector.export.verified import Int8, divide, fewest, quantize_to_drop, thinned
from detector.predictor import COCO_FLOAT, COCO_INT8


def dataset(folder: Path, count: int, boxed: set[int] | None = None) -> Dataset:
    """Small gray pictures, those numbered in `boxed` (default all) with a box."""
    examples = []
    for number in range(count):
        path = folder / f"{number:02}.png"
        cv2.imwrite(str(path), np.full((20, 30, 3), number, np.uint8))
        many = int(boxed is None or number in boxed)
        boxes = np.array([[2, 2, 12, 12]] * many, np.float32).reshape(-1, 4)
        labels, ignore = np.zeros(many, np.int64), np.zeros(many, bool)
        examples.append(Example(path, boxes, labels, ignore, None, ""))
    return Dataset(tuple(examples), ("person",))


def test_a_quarter_is_held_back_and_never_calibrates(tmp_path: Path) -> None:
    data = dataset(tmp_path, 10)
    calibrating, held = divide(data)
    assert [one.path.stem for one in held.examples] == ["03", "07"]
    assert len(calibrating) == 8
    assert not {one.path for one in calibrating} & {one.path for one in held.examples}
    assert held.class_names == data.class_names


@pytest.mark.parametrize(("count", "boxed"), [(7, None), (10, {0, 1})])
def test_too_few_serve_for_both(tmp_path: Path, count: int, boxed: set[int] | None) -> None:
    calibrating, held = divide(dataset(tmp_path, count, boxed))
    assert len(calibrating) == len(held.examples) == count


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    data = dataset(tmp_path, 9)
    data.examples[0].path.write_bytes(b"no picture")
    calibrating, held = divide(data)
    assert (len(calibrating), len(held.examples)) == (6, 2)
    for one in data.examples:
        one.path.write_bytes(b"no picture")
    with pytest.raises(DetectorError, match="none of 9 training pictures can be read"):
        divide(data)


@given(st.integers(1, 300), st.data())
def test_the_fewest_that_are_enough(most: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(1, most))
    asked: list[int] = []

    def enough(count: int) -> bool:
        asked.append(count)
        return count >= least

    assert fewest(enough, most) == least
    assert least in asked  # so that what is shipped was measured
    assert len(asked) <= 2 * math.log2(most) + 3


@given(st.integers(1, 50), st.integers(1, 60))
def test_thinned_is_even_and_in_order(count: int, most: int) -> None:
    numbers = thinned(list(range(count)), most)  # type: ignore[arg-type]
    assert len(numbers) == min(count, most)
    assert numbers == sorted(set(numbers))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The embedded int8 file's graph instead of a new one, ranked by name; nothing is compiled."""
    graph = onnx.load(COCO_INT8)
    order = sorted(int8_layers(graph))
    monkeypatch.setattr(verified, "int8_graph", lambda floats, pictures: graph)
    monkeypatch.setattr(verified, "rank", lambda *args: order)
    monkeypatch.setattr(verified, "Detector", lambda path, score: SimpleNamespace(path=path))
    return order


def test_layers_are_kept_until_the_drop_is_within_bounds(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an AP that rises by a point for each layer in float, from 37 - 5."""
    whole = len(quick)

    def ap(finder: object, data: Dataset) -> float:
        path = finder.path  # type: ignore[attr-defined]
        if path == COCO_FLOAT:
            return 37.0
        return min(37.0, 32.0 + whole - len(int8_layers(onnx.load(path))))

    monkeypatch.setattr(verified, "average_precision", ap)
    said: list[str] = []
    made = quantize_to_drop(COCO_FLOAT, dataset(tmp_path, 10), "orchard", said.append, 1.5)
    layers = int8_layers(onnx.load(COCO_INT8))
    assert made.kept == tuple(layers[name] for name in quick[:4])
    assert (made.plain_drop, made.drop, made.held, made.layers) == (5.0, 1.0, 2, whole)
    assert made.grown > 0
    assert set(layers) - set(int8_layers(made.proto)) == set(quick[:4])
    assert "int8 loses 5.00 AP on 2 training pictures held back, more than 1.5" in said[0]
    assert f"4 of {whole} layers kept in float" in made.sentence()
    write(tmp_path / "made.onnx", made.proto)
    read = metadata.read(tmp_path / "made.onnx")
    assert read.precision == "int8"
    assert read.notes["calibrated_on"] == "orchard, 8 training pictures"


@pytest.mark.parametrize("ap", [30.0, math.nan])
def test_what_loses_nothing_stays_whole(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, ap: float
) -> None:
    monkeypatch.setattr(verified, "average_precision", lambda finder, data: ap)
    made = quantize_to_drop(COCO_FLOAT, dataset(tmp_path, 10), "orchard", print)
    assert (made.kept, made.grown) == ((), 0)
    assert ("unknown" in made.sentence()) == math.isnan(ap)
    assert ("unknown" in made.notes()["on_held_back"]) == math.isnan(ap)


def test_notes_name_what_is_kept() -> None:
    made = Int8(onnx.ModelProto(), ("backbone.stem", "Add add"), 90, 40, 1.0, 0.25, 1000)
    assert made.notes() == {
        "kept_in_float": "backbone.stem, Add add",
        "on_held_back": "0.25 AP lost, 40 training pictures",
    }


def test_files_that_cannot_be_quantised(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="is int8 already"):
        float_graph(COCO_INT8)
    proto = onnx.load(COCO_FLOAT)
    proto.graph.input[0].name = "tensor"
    (tmp_path / "other.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(DetectorError, match="has tensor, boxes, scores, expected frame"):
        float_graph(tmp_path / "other.onnx")
