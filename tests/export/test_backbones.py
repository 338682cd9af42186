"""Every backbone and head as a model file: what torch computes, at two sizes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import in_halves, seen_blobs
from torch import nn

from detector import metadata
from detector.engine import load_engine
from detector.export.agree import torch_runner
from detector.export.interface import Order
from detector.export.onnx import to_onnx, write
from detector.model.anchors import anchors_cxcywh, ssd_spec
from detector.model.boxes import decode
from detector.model.checkpoint import ModelCard, build, images_to_input
from detector.model.ssdlite import SSDLite
from detector.model.zoo import BACKBONES
from detector.preprocess import to_batch

NO_TIMM = importlib.util.find_spec("timm") is None
CASES = [(name, "ssdlite") for name in BACKBONES if name != "mobilenet_v2"]
CASES.append(("mobilenet_v2", "ssd"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path))


def seen_something(card: ModelCard) -> SSDLite:
    """Random weights that halves hold exactly, and batch norms that have seen soft blobs."""
    torch.manual_seed(0)
    model = build(card)
    for head in model.class_heads:
        nn.init.normal_(head.predict.weight, std=0.1)  # scores that differ between pixels
    seen_blobs(model, 160, 20, times=2)
    in_halves(model)
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), CASES)
def test_the_file_computes_what_torch_does(name: str, head: str, tmp_path: Path) -> None:
    if name == "mobilenet_v4" and NO_TIMM:
        pytest.skip("timm is not installed")
    card = ModelCard(("a", "b"), 0.25, name, head=head, anchors=ssd_spec(160))
    model, path = seen_something(card), tmp_path / "net.onnx"
    write(path, to_onnx(model, card, {}))
    read = metadata.read(path)
    assert read.input_size == 160
    assert read.notes["backbone"] == name
    assert read.notes.get("head", "ssdlite") == head
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    frame[..., 0] //= 4  # blue is not red
    for size_hw in [(160, 160), (97, 224)]:
        batch = to_batch(frame, size_hw)
        rgb = torch.from_numpy(np.ascontiguousarray(batch[..., ::-1])).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits, offsets = model(images_to_input(rgb))
        wanted = decode(offsets, anchors_cxcywh(model.anchors, size_hw))[0].numpy()
        scores = logits.sigmoid()[0].numpy()
        assert scores.std() > 0.01
        for engine in ("onnxruntime", "openvino"):
            compiled = load_engine(path, size_hw, name=engine, threads=2, streams=1)
            got_boxes, got_scores = compiled.infer(batch)
            # Random weights carry float32's rounding further than trained ones do.
            np.testing.assert_allclose(got_scores, scores, atol=1e-2)
            np.testing.assert_allclose(got_boxes, wanted, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), CASES)
def test_tensorflow_lite_has_its_operators(name: str, head: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    if name == "mobilenet_v4" and NO_TIMM:
        pytest.skip("timm is not installed")
    from detector.export.formats import tflite

    card = ModelCard(("a", "b"), 0.25, name, head=head, anchors=ssd_spec(160))
    # Random weights carry the least rounding far: keep all of their digits.
    order = Order(seen_something(card), card, 160, precision="float32")
    tflite.write(tmp_path / "net.tflite", order)
    frame = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)[None]
    found = tflite.load(tmp_path / "net.tflite", order, 2)(frame)
    expected = torch_runner(order)(frame)
    for name_of in ("scores", "boxes"):
        apart = np.abs(found[name_of] - expected[name_of])
        assert np.isfinite(apart).all()
        # On the last maps batch norms saw a handful of cells, and a few gains are huge; an operator
        # that is wrong would move everything.
        assert np.quantile(apart, 0.99) < 1e-2
        assert np.median(apart) < 1e-3
