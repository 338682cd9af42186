"""Files of several formats: refused early, compared, and in place only when they agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from detector.errors import DetectorError
from detector.export import ship as shipping
from detector.export.agree import Agreement, torch_runner
from detector.export.interface import Order
from detector.export.ship import Made, check_places, refusal, ship, table
from detector.model.checkpoint import ModelCard, build

FRAME = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.fixture(scope="module")
def order() -> Order:
    torch.manual_seed(0)
    card = ModelCard(("a", "b"), 0.25)
    model = build(card).eval()
    for head in model.class_heads:
        nn.init.normal_(head.predict.bias)
    return Order(model, card, 96)


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch, order: Order):
    """Two formats that take no time: one that is torch itself, and one that finds other boxes."""

    def write(path: Path, order: Order) -> None:
        path.write_text("a network")
        path.with_suffix(".bin").write_text("its weights")

    def load(path: Path, order: Order, threads: int):
        run = torch_runner(order)
        if path.suffix == ".good":
            return run
        return lambda batch: {**run(batch), "boxes": run(batch)["boxes"] + 0.1}

    made = SimpleNamespace(write=write, load=load)
    monkeypatch.setattr(shipping, "format_of", lambda path: made)


def test_what_agrees_is_written_whole_and_the_rest_is_not(
    order: Order, formats, tmp_path: Path
) -> None:
    outs = [tmp_path / "right.good", tmp_path / "wrong.bad"]
    made = ship(order, outs, [FRAME], None, 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["right.bin", "right.good"]
    assert made[0].size == len("a network" + "its weights")
    why = refusal(order, made)
    assert "wrong.bad: not written" in why
    assert "\n" not in why
    assert "--precision float32" in why
    assert refusal(order, made[:1]) == ""


def test_raw_outputs_come_with_anchors(order: Order, formats, tmp_path: Path) -> None:
    raw = Order(order.model, order.card, 96, "frame", "raw")
    with pytest.raises(KeyError):  # this format gives boxes whatever is asked
        ship(raw, [tmp_path / "right.good"], [FRAME], None, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("outs", "given", "said"),
    [
        (["a.bin"], "boxes", "no format ends in '.bin'; expected .onnx, .xml"),
        (["a"], "boxes", "no format ends in 'nothing'"),
        (["a.tflite"], "nms", ".tflite files cannot have --outputs nms; expected boxes or raw"),
        (["nowhere/a.onnx"], "boxes", "there is no folder"),
        (["a.onnx", "a.onnx"], "boxes", "both would write"),
        (["a.onnx", "a.pt2"], "raw", "both would write"),
    ],
)
def test_places_that_cannot_be(
    order: Order, outs: list[str], given: str, said: str, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    asked = Order(order.model, order.card, 96, "frame", given)
    with pytest.raises(DetectorError) as error:
        check_places([tmp_path / out for out in outs], asked)
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_two_formats_that_would_share_a_file(order: Order, tmp_path: Path) -> None:
    pytest.importorskip("pnnx")
    with pytest.raises(DetectorError, match=r"both would write .*a\.bin"):
        check_places([tmp_path / "a.xml", tmp_path / "a.param"], order)
    check_places([tmp_path / "a.xml", tmp_path / "a.ncnn.param"], order)


def test_a_package_that_is_missing_is_named(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DetectorError) as error:
        check_places([tmp_path / "a.tflite"], order)
    assert "pip install 'mobilenet-ssd[train,export]'" in str(error.value)


def test_the_table_says_what_was_not_written() -> None:
    good = Made(Path("a.onnx"), 8_700_000, Agreement(0.01, 0.001, 0.9, 37.65, 37.7), dict)
    bad = Made(Path("b.tflite"), 9_000_000, Agreement(3.0, 0.5, 0.9, 12.0, 37.7), dict)
    lines = table([good, bad], {"torch": 60.0, "a.onnx": 12.0, "b.tflite": 20.0})
    assert len({line.index("37") for line in lines[1:3]}) == 1  # one column
    assert [line.endswith("not written") for line in lines] == [False, False, False, True]
    assert "8.7" in lines[2]
