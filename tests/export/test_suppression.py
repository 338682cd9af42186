"""NMS inside an ONNX file picks what the runtime's own picks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from detector.detections import Detections, Limits, select
from detector.export.onnx import OPSET
from detector.export.suppression import append_nms

ort = pytest.importorskip("onnxruntime")
NAMES = ("a", "b", "c")


def suppressed(boxes: np.ndarray, scores: np.ndarray, limits: Limits) -> list[np.ndarray]:
    """boxes, scores, labels of a graph that hands both on to its NMS."""
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["given_boxes"], ["boxes"], name="decode.boxes"),
            helper.make_node("Identity", ["given_scores"], ["scores"], name="decode.scores"),
        ],
        "given",
        [
            helper.make_tensor_value_info("given_boxes", TensorProto.FLOAT, [1, "n", 4]),
            helper.make_tensor_value_info("given_scores", TensorProto.FLOAT, [1, "n", 3]),
        ],
        [],
    )
    append_nms(graph, limits)
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {"given_boxes": boxes[None], "given_scores": scores[None]}
    found: list[np.ndarray] = session.run(["boxes", "scores", "labels"], fed)
    return found


def ours(boxes: np.ndarray, scores: np.ndarray, limits: Limits) -> Detections:
    return select(boxes, scores, (1, 1), NAMES, limits)


@pytest.mark.parametrize("vote", [0, 1e-300, 0.05, 0.3])
@pytest.mark.parametrize(
    ("score", "iou", "top_k"), [(0.05, 0.6, 100), (0.3, 0.2, 100), (0.0, 1, 7)]
)
def test_it_keeps_what_the_runtime_keeps(score: float, iou: float, top_k: int, vote: float) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(-0.3, 1, (150, 2))  # some lie over the border, some beyond it
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.5, (150, 2))], 1).astype(np.float32)
    scores = rng.permutation(450).reshape(150, 3).astype(np.float32) / 450  # no two alike
    found = suppressed(boxes, scores, Limits(score, iou, top_k, vote))
    expected = ours(boxes, scores, Limits(score, iou, top_k, vote))
    assert len(expected) > 5
    np.testing.assert_array_equal(found[2], expected.labels)
    np.testing.assert_allclose(found[1], expected.scores, rtol=1e-5 if vote else 1e-7)
    np.testing.assert_allclose(found[0], expected.xyxy, atol=1e-6)
    assert found[0].min() >= 0
    assert found[0].max() <= 1


def test_a_score_at_the_threshold_counts() -> None:
    boxes = np.float32([[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]])
    scores = np.float32([[0.25, 0, 0], [0, np.nextafter(np.float32(0.25), np.float32(0)), 0]])
    found = suppressed(boxes, scores, Limits(0.25, 0.5, 10))
    assert found[2].tolist() == [0]


def test_nothing_is_found_in_nothing() -> None:
    boxes, scores = np.zeros((4, 4), np.float32), np.full((4, 3), 0.9, np.float32)
    for vote in (0, 0.05):
        found = suppressed(boxes, scores, Limits(0.5, 0.5, 10, vote))  # boxes without area
        assert [part.shape for part in found] == [(0, 4), (0,), (0,)]
