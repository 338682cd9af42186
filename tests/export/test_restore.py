"""Putting int8 layers back: which there are, what is left, and that all back is the float graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from detector.export.quantize import first_depthwise, float_graph
from detector.export.restore import int8_layers, restore
from detector.export.sensitivity import drift, outputs, ranked
from detector.predictor import COCO_FLOAT, COCO_INT8

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


@pytest.fixture(scope="module")
def floats() -> ModelProto:
    return float_graph(COCO_FLOAT)


@pytest.fixture(scope="module")
def int8() -> ModelProto:
    return onnx.load(COCO_INT8)


@pytest.fixture(scope="module")
def batches() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)]


def kinds(proto: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def test_layers_of_the_embedded_file(int8: ModelProto, floats: ModelProto) -> None:
    layers = int8_layers(int8)
    convs = [node.name for node in int8.graph.node if node.op_type == "Conv"]
    assert sum(name in layers for name in convs) == len(convs) - 1
    assert not set(first_depthwise(floats)) & set(layers)
    assert len(set(layers.values())) == len(layers)
    assert {"backbone.stem", "class_heads.0.predict"} <= set(layers.values())
    assert not any(name.startswith(("anchors.", "decode.")) for name in layers)


def test_no_layers_in_a_float_file(floats: ModelProto) -> None:
    assert int8_layers(floats) == {}


def test_one_layer_back(int8: ModelProto, floats: ModelProto) -> None:
    before = int8.SerializeToString()
    layers = int8_layers(int8)
    name = next(n for n, called in layers.items() if called == "class_heads.0.predict")
    mended = restore(int8, floats, [name])
    onnx.checker.check_model(mended, full_check=True)
    assert int8.SerializeToString() == before
    assert set(layers) - set(int8_layers(mended)) == {name}
    assert kinds(int8)["DequantizeLinear"] - kinds(mended)["DequantizeLinear"] >= 1
    assert mended.ByteSize() > int8.ByteSize()
    assert {e.key: e.value for e in mended.metadata_props} == {
        e.key: e.value for e in int8.metadata_props
    }


def test_all_layers_back_is_the_float_network(
    int8: ModelProto, floats: ModelProto, batches: list[np.ndarray]
) -> None:
    """But for the biases that quantisation corrected of layers that were float all along."""
    mended = restore(int8, floats, [*int8_layers(int8), *first_depthwise(floats)])
    assert not any(kinds(mended)[kind] for kind in QUANTIZERS)
    wanted = outputs(floats, batches)
    assert drift(wanted, outputs(int8, batches)) > 1e-3
    assert drift(wanted, outputs(mended, batches)) < 1e-4


@pytest.mark.slow
def test_the_layer_that_is_off_is_found(
    int8: ModelProto, floats: ModelProto, batches: list[np.ndarray]
) -> None:
    """Of three layers, one with its scales doubled: it alone spoils the outputs."""
    layers = {called: name for name, called in int8_layers(int8).items()}
    names = [layers[c] for c in ("class_heads.0.predict", "class_heads.1.predict", "backbone.stem")]
    spoilt = ModelProto()
    spoilt.CopyFrom(restore(int8, floats, [n for n in int8_layers(int8) if n not in names]))
    node = next(n for n in spoilt.graph.node if n.name == names[1])
    giver = next(n for n in spoilt.graph.node if n.output[0] == node.input[1])
    scale = next(t for t in spoilt.graph.initializer if t.name == giver.input[1])
    doubled = 2 * onnx.numpy_helper.to_array(scale)
    scale.CopyFrom(onnx.numpy_helper.from_array(doubled, scale.name))
    told: list[int] = []
    found = ranked(spoilt, floats, names, batches, told.append)
    assert found[0][0] == names[1]
    assert found[0][1] > 2 * found[1][1]
    assert told == [1, 2, 3]


def test_drift_of_the_same_and_of_shifted_boxes() -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.4, 0.4]], np.float32)
    scores = np.array([[0.5, 0.1], [0.2, 0.3]], np.float32)
    assert drift([(boxes, scores)], [(boxes, scores)]) == pytest.approx(0, abs=1e-6)
    assert drift([(boxes, scores)], [(boxes + 1, scores)]) == pytest.approx(1, abs=1e-6)
    assert drift([(boxes, scores)], [(boxes, 0 * scores)]) == pytest.approx(1, abs=1e-6)
