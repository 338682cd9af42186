"""Anchors and decoding in the graph give what torch gives, at any input size."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

from detector.export.decoder import append_decoder
from detector.model.anchors import AnchorSpec, anchors_cxcywh, ssd_spec
from detector.model.boxes import decode

CLASSES = 3
SIDES = st.integers(96, 640)


def decoder_alone(spec: AnchorSpec) -> ModelProto:
    """A graph of nothing but the decoder: logits and offsets are inputs of their own."""
    graph = helper.make_graph(
        [],
        "decoder",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, "h", "w", 3]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "anchors", CLASSES]),
            helper.make_tensor_value_info("offsets", TensorProto.FLOAT, [1, "anchors", 4]),
        ],
        [],
    )
    append_decoder(graph, spec, CLASSES)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(proto, full_check=True)
    return proto


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        decoder_alone(ssd_spec()).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def inputs(size_hw: tuple[int, int], spec: AnchorSpec, scale: float) -> dict[str, np.ndarray]:
    """A frame and what a head might say of it: offsets of the given scale."""
    rng = np.random.default_rng(size_hw)
    rows = len(anchors_cxcywh(spec, size_hw))
    return {
        "frame": np.zeros((1, *size_hw, 3), np.uint8),
        "logits": rng.normal(0, 5, (1, rows, CLASSES)).astype(np.float32),
        "offsets": rng.normal(0, scale, (1, rows, 4)).astype(np.float32),
    }


@given(SIDES, SIDES)
@settings(max_examples=60, deadline=None)
def test_without_offsets_it_gives_torchs_anchors(
    session: ort.InferenceSession, height: int, width: int
) -> None:
    spec = ssd_spec()
    boxes, _ = session.run(["boxes", "scores"], inputs((height, width), spec, 0.0))
    cxcywh = anchors_cxcywh(spec, (height, width)).numpy()
    np.testing.assert_allclose((boxes[0, :, :2] + boxes[0, :, 2:]) / 2, cxcywh[:, :2], atol=1e-6)
    np.testing.assert_allclose(boxes[0, :, 2:] - boxes[0, :, :2], cxcywh[:, 2:], rtol=1e-5)


@given(SIDES, SIDES, st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_boxes_and_scores_are_torchs(
    session: ort.InferenceSession, height: int, width: int, scale: float
) -> None:
    spec = ssd_spec()
    feed = inputs((height, width), spec, scale)
    boxes, scores = session.run(["boxes", "scores"], feed)
    expected = decode(torch.from_numpy(feed["offsets"]), anchors_cxcywh(spec, (height, width)))
    np.testing.assert_allclose(boxes, expected.numpy(), atol=2e-5)
    sigmoid = torch.from_numpy(feed["logits"]).sigmoid().numpy()
    np.testing.assert_allclose(scores, sigmoid, atol=1e-6)


@pytest.mark.parametrize("size_hw", [(300, 300), (300, 299), (97, 128)])
def test_the_standards_own_interpreter_agrees(
    session: ort.InferenceSession, size_hw: tuple[int, int]
) -> None:
    feed = inputs(size_hw, ssd_spec(), 1.0)
    reference = ReferenceEvaluator(decoder_alone(ssd_spec())).run(None, feed)
    for ours, theirs in zip(session.run(None, feed), reference, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_another_native_size_and_other_shapes() -> None:
    spec = AnchorSpec(512, (((0.1, 0.2),), ((0.3, 0.3), (0.5, 0.25))), first_stride=8)
    for size_hw in [(512, 512), (300, 400)]:
        feed = inputs(size_hw, spec, 1.0)
        boxes, _ = ReferenceEvaluator(decoder_alone(spec)).run(None, feed)
        expected = decode(torch.from_numpy(feed["offsets"]), anchors_cxcywh(spec, size_hw))
        np.testing.assert_allclose(boxes, expected.numpy(), atol=2e-5)
