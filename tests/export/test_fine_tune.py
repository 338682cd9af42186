"""Learning with rounding in the loop: what is compared, and that the graph stays what it was."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from detector.data.example import Example
from detector.data.load import load_splits
from detector.export import fine_tune as module
from detector.export.fine_tune import apart, fine_tune
from detector.export.int8_options import Int8Options
from detector.export.quantize import float_graph
from detector.predictor import COCO_FLOAT, COCO_INT8

RACCOONS = Path(__file__).parents[2].parent / "shared" / "data" / "raccoon"


def test_the_same_is_not_apart() -> None:
    logits, offsets = torch.randn(2, 5, 3), torch.randn(2, 5, 4)
    assert apart((logits, offsets), (logits, offsets)).item() == pytest.approx(0, abs=1e-5)
    assert apart((logits + 0.1, offsets), (logits, offsets)).item() > 0.001
    assert apart((logits, offsets + 0.1), (logits, offsets)).item() > 0.001


def test_offsets_count_where_the_teacher_sees_something() -> None:
    logits = torch.tensor([[[-9.0], [4.0]]])
    offsets = torch.zeros(1, 2, 4)
    apart_of = [apart((logits, offsets + move), (logits, offsets)).item() for move in moves()]
    assert apart_of[0] < 1e-3 < apart_of[1]


def moves() -> list[torch.Tensor]:
    """Of the first anchor, and of the second."""
    return [torch.tensor([[[1.0] * 4, [0.0] * 4]]), torch.tensor([[[0.0] * 4, [1.0] * 4]])]


@pytest.fixture
def few() -> tuple[Example, ...]:
    """Three pictures to learn from."""
    if not RACCOONS.is_dir():
        pytest.skip("../shared/data/raccoon is absent")
    return load_splits(str(RACCOONS))["train"].examples[:3]


def constants(graph: onnx.ModelProto) -> dict[str, bytes]:
    return {tensor.name: tensor.SerializeToString() for tensor in graph.graph.initializer}


@pytest.mark.slow
def test_it_learns_and_keeps_the_graph(few: tuple[Example, ...]) -> None:
    """The embedded int8 file at 96 px: nothing but integers, scales and biases is another."""
    int8, floats = onnx.load(COCO_INT8), float_graph(COCO_FLOAT)
    before = constants(int8)
    said: list[str] = []
    made = fine_tune(int8, floats, few, 96, Int8Options(views=10, batch=4), said.append)
    assert made is not None
    assert constants(int8) == before
    assert list(made.int8.graph.node) == list(int8.graph.node)
    after = constants(made.int8)
    changed = {name for name in after if after[name] != before[name]}
    kinds = ("q_output_model.", "scale_model.", "model.backbone.blocks.0.depthwise.conv.weight")
    assert all(name.startswith(kinds) or name.endswith(".bias") for name in changed)
    assert any(name.startswith("scale_model.") for name in changed)
    assert any(name.endswith(".bias") for name in changed)
    assert said == ["fine-tuning: step 3 of 3, " + said[0].rpartition(", ")[2]]
    onnx.checker.check_model(made.int8, full_check=True)


@pytest.mark.slow
def test_a_loss_beyond_sense_ends_it(
    few: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LR", float("inf"))
    int8, floats = onnx.load(COCO_INT8), float_graph(COCO_FLOAT)
    said: list[str] = []
    assert fine_tune(int8, floats, few, 96, Int8Options(views=6, batch=2), said.append) is None
    assert "astray" in said[-1]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_too_little_memory_ends_it_too(
    few: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def forward(*_: object) -> None:
        raise error

    monkeypatch.setattr(module.GraphNetwork, "forward", forward)
    said: list[str] = []
    graphs = onnx.load(COCO_INT8), float_graph(COCO_FLOAT)
    assert fine_tune(*graphs, few, 96, Int8Options(views=6, batch=2), said.append) is None
    assert said == ["out of memory in fine-tuning, which is left out"]


def test_another_error_is_no_lack_of_memory(
    few: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: object) -> None:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(module.GraphNetwork, "forward", forward)
    graphs = onnx.load(COCO_INT8), float_graph(COCO_FLOAT)
    with pytest.raises(RuntimeError, match="size mismatch"):
        fine_tune(*graphs, few, 96, Int8Options(views=6, batch=2), print)
