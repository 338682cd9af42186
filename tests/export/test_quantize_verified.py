"""int8 to a stated drop: the search for what to keep in float, and the choice between two files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import gray
from onnx import numpy_helper

from detector import metadata
from detector.errors import DetectorError
from detector.export import verified
from detector.export.int8_options import Int8Options
from detector.export.onnx import write
from detector.export.quantize import float_graph
from detector.export.restore import int8_layers
from detector.export.verified import Int8, fewest, quantize_to_drop
from detector.predictor import COCO_FLOAT, COCO_INT8


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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The embedded int8 file's graph instead of a new one, ranked by name; nothing is compiled."""
    graph = onnx.load(COCO_INT8)
    order = sorted(int8_layers(graph))
    monkeypatch.setattr(verified, "int8_graph", lambda floats, frames: graph)
    monkeypatch.setattr(verified, "rank", lambda *args: order)
    return order


def judged_by(monkeypatch: pytest.MonkeyPatch, ap: Callable[[Path], float]) -> None:
    """Give each model file the AP that a function of its path says."""
    monkeypatch.setattr(verified.Held, "average_precision", lambda held, path: ap(path))


def put_back(monkeypatch: pytest.MonkeyPatch, first: float, learned: float, most: float) -> None:
    """Make AP 37 in float, and `first` in int8 and a point more for each layer put back, up to 37.

    What learned (`with_bias` 7) has `learned` instead, and `most` with all its layers put back.
    """
    whole = len(int8_layers(onnx.load(COCO_INT8)))

    def ap(path: Path) -> float:
        if path == COCO_FLOAT:
            return 37.0
        proto = onnx.load(path)
        start, end = (learned, most) if bias_of(proto) == 7 else (first, 37.0)
        return min(end, start + whole - len(int8_layers(proto)))

    def tune(int8, floats, examples, side, options, say):
        return with_bias(int8, 7), with_bias(floats, 7)

    judged_by(monkeypatch, ap)
    monkeypatch.setattr(verified, "fine_tune", tune)


@pytest.mark.slow
def test_layers_are_kept_until_the_drop_is_within_bounds(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an AP that rises by a point for each layer in float, from 37 - 5."""
    whole = len(quick)
    put_back(monkeypatch, 32.0, learned=0.0, most=0.0)
    said: list[str] = []
    made = quantize_to_drop(
        COCO_FLOAT, gray(tmp_path, 10), "orchard", said.append, Int8Options(1.5, 0)
    )
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
    judged_by(monkeypatch, lambda path: ap)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print)
    assert (made.kept, made.grown) == ((), 0)
    assert ("unknown" in made.sentence()) == math.isnan(ap)
    assert ("unknown" in made.notes()["on_held_back"]) == math.isnan(ap)


def with_bias(proto: onnx.ModelProto, value: float) -> onnx.ModelProto:
    """A copy whose stem has another bias, as a network that has learned has."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    bias = next(t for t in copy.graph.initializer if t.name == "model.backbone.stem.conv.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(32, value, np.float32), bias.name))
    return copy


def bias_of(proto: onnx.ModelProto) -> float:
    """What `with_bias` gave."""
    tensors = {t.name.removesuffix(".float"): t for t in proto.graph.initializer}
    return float(numpy_helper.to_array(tensors["model.backbone.stem.conv.bias"])[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learned", "views", "kept"),
    [
        (36.9, 64, 0),  # within the drop, so nothing is put back
        (33.0, 64, 3),  # better, but not yet good enough
        (32.0, 0, 4),  # no better: the plain one is mended
        (20.0, 0, 4),
    ],
)
def test_what_learned_is_taken_where_it_loses_less(
    tmp_path: Path,
    quick: list[str],
    monkeypatch: pytest.MonkeyPatch,
    learned: float,
    views: int,
    kept: int,
) -> None:
    put_back(monkeypatch, 32.0, learned, most=37.0)
    quick.remove("node__symbolic")  # the stem, whose bias tells the files apart, stays in int8
    options = Int8Options(1.5, 64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert (made.views, len(made.kept), made.plain_drop) == (views, kept, 5.0)
    assert made.sentence().startswith("fine-tuned on 64 views, ") == bool(views)
    assert made.sentence().endswith("held back, 5.00 AP lost without")


@pytest.mark.slow
def test_the_bound_holds_where_all_that_learned_is_not_enough(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What learned loses half a point even with all its layers in float, unlike the first."""
    put_back(monkeypatch, 27.0, learned=35.0, most=36.5)
    quick.remove("node__symbolic")
    options = Int8Options(0.3, 64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert (made.views, len(made.kept), made.drop) == (0, 10, 0.0)


@pytest.mark.slow
def test_learning_is_not_taken_where_it_would_keep_most_layers_in_float(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten layers of the first are enough, 64 of what learned."""
    whole = len(quick)

    def ap(path: Path) -> float:
        proto = onnx.load(path)
        learned = bias_of(proto) == 7
        if path == COCO_FLOAT or whole - len(int8_layers(proto)) >= (64 if learned else 10):
            return 37.0
        return 36.5 if learned else 36.0

    judged_by(monkeypatch, ap)
    monkeypatch.setattr(verified, "fine_tune", lambda a, b, *_: (with_bias(a, 7), with_bias(b, 7)))
    quick.remove("node__symbolic")
    options = Int8Options(views=64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert (len(made.kept), made.views, made.drop) == (10, 0, 0.0)


def test_what_is_within_the_drop_need_not_learn(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_by(monkeypatch, lambda path: 30.0)
    monkeypatch.setattr(verified, "fine_tune", lambda *_: pytest.fail("nothing to gain"))
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print)
    assert (made.views, made.kept) == (0, ())


def test_what_is_unknown_is_not_fine_tuned(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_by(monkeypatch, lambda path: math.nan)
    monkeypatch.setattr(verified, "fine_tune", lambda *_: pytest.fail("nothing could tell"))
    options = Int8Options(views=64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert made.views == 0


def test_layers_put_back_after_fine_tuning_keep_what_was_learned(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stem, put back into float, has the bias that was learned and not the first one."""
    quick.remove("node__symbolic")
    quick.insert(0, "node__symbolic")

    def ap(path: Path) -> float:
        if path == COCO_FLOAT:
            return 37.0
        proto = onnx.load(path)
        stem = "node__symbolic" in int8_layers(proto)
        return (30.0 if stem else 35.0) + (bias_of(proto) == 7)

    judged_by(monkeypatch, ap)
    asked: list[object] = []

    def tune(int8, floats, examples, side, options, say):
        asked.extend([[one.path.stem for one in examples], side, options.views])
        return with_bias(int8, 7), with_bias(floats, 7)

    monkeypatch.setattr(verified, "fine_tune", tune)
    options = Int8Options(3.0, 64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert asked == [["00", "01", "02", "04", "05", "06", "08", "09"], 300, 64]
    assert made.kept == ("backbone.stem",)
    assert bias_of(made.proto) == 7
    assert (made.plain_drop, made.drop) == (7.0, 1.0)


def test_where_learning_fails_layers_are_put_back(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = iter([37.0, 30.0, 37.0])
    judged_by(monkeypatch, lambda path: next(order))
    monkeypatch.setattr(verified, "fine_tune", lambda *_: None)
    options = Int8Options(views=64)
    made = quantize_to_drop(COCO_FLOAT, gray(tmp_path, 10), "orchard", print, options)
    assert (made.views, len(made.kept)) == (0, 1)


def test_pictures_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    data = gray(tmp_path, 9)
    for one in data.examples:
        one.path.write_bytes(b"no picture")
    with pytest.raises(DetectorError, match="none of 9 training pictures can be read"):
        quantize_to_drop(COCO_FLOAT, data, "orchard", print)


def test_notes_name_what_is_kept() -> None:
    made = Int8(onnx.ModelProto(), ("backbone.stem", "Add add"), 90, 40, 1.0, 0.25, 1000)
    assert made.notes() == {
        "kept_in_float": "backbone.stem, Add add",
        "on_held_back": "0.25 AP lost, 40 training pictures",
    }


@pytest.mark.parametrize(("count", "told"), [(18, False), (19, True)])
def test_what_costs_much_is_told(count: int, told: bool) -> None:
    kept = tuple(f"layer {number}" for number in range(count))
    made = Int8(onnx.ModelProto(), kept, 90, 40, 1.0, 0.25, 800_000)
    assert made.sentence().endswith("a larger --max-drop keeps more in int8") == told


def test_files_that_cannot_be_quantised(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="is int8 already"):
        float_graph(COCO_INT8)
    proto = onnx.load(COCO_FLOAT)
    proto.graph.input[0].name = "tensor"
    (tmp_path / "other.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(DetectorError, match="has tensor, boxes, scores, expected frame"):
        float_graph(tmp_path / "other.onnx")
