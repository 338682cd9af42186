"""A run's model file finds what its network finds, or is not written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from networks import in_halves, seen_blobs

from detector import metadata
from detector.data.example import Example
from detector.errors import DetectorError
from detector.export.faithful import faithful_onnx
from detector.export.onnx import write
from detector.model.anchors import ssd_spec
from detector.model.checkpoint import ModelCard, build
from detector.model.ssdlite import SSDLite

pytestmark = pytest.mark.slow
CARD = ModelCard(("a", "b"), 0.25, "mobilenet_v1", anchors=ssd_spec(96))


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """A picture and, before it, a file that is none."""
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), picture)
    none = np.zeros((0, 4), np.float32)
    return [
        Example(tmp_path / name, none, np.zeros(0, np.int64), np.zeros(0, bool), None, "")
        for name in ("broken.jpg", "noise.png")
    ]


@pytest.fixture
def model() -> SSDLite:
    torch.manual_seed(0)
    model = build(CARD)
    seen_blobs(model, 96, 12)
    return model


def precision_of(model: SSDLite, examples: list[Example], folder: Path) -> tuple[str, list[str]]:
    said: list[str] = []
    write(folder / "model.onnx", faithful_onnx(model, CARD, examples, said.append))
    return metadata.read(folder / "model.onnx").precision, said


def test_weights_are_halves_where_that_changes_nothing(
    model: SSDLite, examples: list[Example], tmp_path: Path
) -> None:
    in_halves(model)
    assert precision_of(model, examples, tmp_path) == ("float16", [])


def test_weights_stay_whole_where_halves_would_move_boxes(
    model: SSDLite, examples: list[Example], tmp_path: Path
) -> None:
    with torch.no_grad():
        for head in model.box_heads:
            head.predict.weight *= 300  # a rounding in the fourth digit is then pixels
    precision, said = precision_of(model, examples, tmp_path)
    assert precision == "float32"
    assert len(said) == 1
    assert said[0].startswith("model.onnx is in float32: in float16 boxes by ")


def test_a_network_that_computes_nothing_is_not_written(
    model: SSDLite, examples: list[Example]
) -> None:
    with torch.no_grad():
        model.box_heads[0].predict.weight.fill_(torch.nan)
    with pytest.raises(DetectorError, match=r"model\.onnx: not written.*best\.ckpt"):
        faithful_onnx(model, CARD, examples, print)
