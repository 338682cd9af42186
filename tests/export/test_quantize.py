"""The int8 file: made from a float one, still right, and in float where that matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, numpy_helper

from detector import metadata
from detector.engine import load_engine
from detector.errors import DetectorError
from detector.export.onnx import to_onnx, write
from detector.export.quantize import quantize
from detector.images import read_image
from detector.model.checkpoint import ModelCard, build
from detector.predictor import COCO_FLOAT, COCO_INT8
from detector.preprocess import to_batch

PHOTOS = Path(__file__).parents[2].parent / "shared" / "data" / "photos"
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")

needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def embedded() -> ModelProto:
    return onnx.load(COCO_INT8)


def producers(proto: ModelProto) -> dict[str, NodeProto]:
    return {name: node for node in proto.graph.node for name in node.output}


def convolutions(proto: ModelProto) -> tuple[list[NodeProto], list[NodeProto]]:
    """Those that take an int8 weight, and those that do not."""
    made_by = producers(proto)
    convs = [node for node in proto.graph.node if node.op_type == "Conv"]
    int8 = [n for n in convs if made_by.get(n.input[1], n).op_type == "DequantizeLinear"]
    return int8, [n for n in convs if n not in int8]


def test_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no pictures to calibrate on"):
        quantize(COCO_FLOAT, [], {})


def test_the_embedded_file_says_what_the_float_one_does() -> None:
    ours, floats = metadata.read(COCO_INT8), metadata.read(COCO_FLOAT)
    assert (ours.precision, floats.precision) == ("int8", "float16")
    assert ours.class_names == floats.class_names
    assert (ours.input_size, ours.score, ours.iou) == (floats.input_size, floats.score, floats.iou)
    assert floats.notes.items() <= ours.notes.items()
    assert COCO_INT8.stat().st_size < 0.6 * COCO_FLOAT.stat().st_size


def test_nearly_every_convolution_is_int8_by_channel(embedded: ModelProto) -> None:
    int8, floats = convolutions(embedded)
    assert len(int8) + len(floats) == 88
    assert len(floats) <= 3
    constants = {t.name: numpy_helper.to_array(t) for t in embedded.graph.initializer}
    made_by = producers(embedded)
    for node in int8:
        weight, scale = (constants[name] for name in made_by[node.input[1]].input[:2])
        assert weight.dtype == np.int8
        assert scale.shape == (weight.shape[0],)


def test_anchors_and_decoding_stay_in_float(embedded: ModelProto) -> None:
    made_by = producers(embedded)
    checked = 0
    for node in embedded.graph.node:
        if node.name.startswith(("anchors.", "decode.")) or node.name in ("boxes", "scores"):
            kinds = {made_by[name].op_type for name in node.input if name in made_by}
            # The head's own outputs may come dequantized; nothing of the decoder's may.
            if not set(node.input) & {"logits", "offsets"}:
                assert not kinds & set(QUANTIZERS), node.name
            checked += 1
    assert checked > 100


@pytest.mark.slow
@needs_photos
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_int8_sees_what_float_sees(engine: str) -> None:
    """The best anchor of each photo keeps its class, and box and scores stay close."""
    photos = sorted(PHOTOS.glob("*.jpg"))
    both = [
        load_engine(path, (300, 300), name=engine, threads=2, streams=1)
        for path in (COCO_FLOAT, COCO_INT8)
    ]
    gaps = []
    for photo in photos:
        batch = to_batch(read_image(str(photo)), (300, 300))
        (boxes, scores), (boxes8, scores8) = (
            [array.copy() for array in engine.infer(batch)] for engine in both
        )
        row, label = np.unravel_index(scores.argmax(), scores.shape)
        assert scores8[row].argmax() == label, photo.name
        np.testing.assert_allclose(boxes8[row], boxes[row], atol=0.05)
        gaps.append(np.abs(scores8 - scores)[scores > 0.3].mean())
    assert len(gaps) >= 10
    assert np.mean(gaps) < 0.05


@needs_photos
@pytest.mark.slow
def test_a_network_of_ones_own(tmp_path: Path) -> None:
    card = ModelCard(("ripe", "quả xoài"), 0.25, trained_on="an orchard", vote=0.1)
    floats, int8 = tmp_path / "own.onnx", tmp_path / "own-int8.onnx"
    write(floats, to_onnx(build(card), card, {"mAP": "1.5"}))
    before = floats.read_bytes()
    write(int8, quantize(floats, sorted(PHOTOS.glob("*.jpg"))[:4], {"calibrated_on": "4 photos"}))
    assert floats.read_bytes() == before
    read = metadata.read(int8)
    assert read.class_names == card.class_names
    assert (read.precision, read.vote) == ("int8", 0.1)
    assert {"mAP": "1.5", "calibrated_on": "4 photos"}.items() <= read.notes.items()
    quantized, kept = convolutions(onnx.load(int8))
    assert len(quantized) > 80
    assert len(kept) <= 3
    frame = read_image(str(PHOTOS / "dog.jpg"))
    for size_hw in [(300, 300), (160, 224)]:  # calibrated at one size, run at another
        outputs = [
            load_engine(path, size_hw, name="onnxruntime", threads=2, streams=1).infer(
                to_batch(frame, size_hw)
            )
            for path in (floats, int8)
        ]
        for ours, theirs in zip(*outputs, strict=True):
            assert ours.shape == theirs.shape
        assert np.abs(outputs[0][0] - outputs[1][0]).mean() < 0.05
