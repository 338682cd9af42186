"""Which weights of a file are halves, and that the graph computes with them as before."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from detector.export.float16 import SHARE, halved, store_float16
from detector.export.onnx import to_onnx
from detector.model.checkpoint import load
from detector.predictor import COCO_FLOAT

RNG = np.random.default_rng(0)


def rounded(*shape: int) -> np.ndarray:
    """Numbers that float16 does not hold."""
    return RNG.normal(size=shape).astype(np.float32)


def held(*shape: int) -> np.ndarray:
    return rounded(*shape).astype(np.float16).astype(np.float32)


def convolutions(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """One after the other, and a constant of four axes that is no weight."""
    names = ["x", *(f"after {name}" for name in weights)]
    names[-1] = "y"
    steps = zip(names, weights, names[1:], strict=False)
    graph = helper.make_graph(
        [helper.make_node("Conv", [before, name], [after]) for before, name, after in steps],
        "in a row",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "channels", 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "filters", 2, 2])],
        [
            *(numpy_helper.from_array(value, name) for name, value in weights.items()),
            numpy_helper.from_array(rounded(1, 1, 100, 100), "no weight"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize(
    ("small", "expected"),
    [
        (rounded(10, 10, 1, 1), {"small"}),
        (held(10, 10, 1, 1), set()),
        (held(10, 10, 1, 1) * np.float32(1 + 2e-7), set()),  # what folding a batch norm leaves
        (held(10, 10, 1, 1) * np.float32(1 + 1e-4), {"small"}),
        (np.full((1, 1, 1, 1), 1e6, np.float32), {"small"}),  # float16 ends at 65,504
        (np.full((1, 1, 1, 1), 1e-9, np.float32), {"small"}),
        (np.zeros((10, 10, 1, 1), np.float32), set()),
        (np.zeros((0, 10, 1, 1), np.float32), set()),
        (rounded(200, 10, 1, 1), set()),  # too large a share of all
    ],
)
def test_small_weights_that_would_be_rounded_stay_whole(
    small: np.ndarray, expected: set[str]
) -> None:
    weights = {"large": rounded(100, 100, 1, 1), "small": small}
    assert weights.keys() - halved(convolutions(weights)).keys() == expected


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), max_size=8))
def test_the_smallest_stay_whole_and_are_a_small_share(sides: list[int]) -> None:
    weights = {str(number): rounded(side, side, 1, 1) for number, side in enumerate(sides)}
    halves = halved(convolutions(weights) if weights else onnx.ModelProto())
    whole = [weights[name].size for name in weights.keys() - halves.keys()]
    assert sum(whole) <= SHARE * sum(weight.size for weight in weights.values())
    assert all(size <= min(weight.size for weight in halves.values()) for size in whole)


@pytest.mark.slow  # torch takes seconds to trace a network
def test_the_embedded_network_is_in_halves_already() -> None:
    proto = to_onnx(*load(COCO_FLOAT.with_suffix(".safetensors")), {})
    kinds = {t.name: t.data_type for t in proto.graph.initializer}
    weights = [node.input[1] for node in proto.graph.node if node.op_type == "Conv"]
    assert len(weights) > 50
    assert not kinds.keys() & set(weights), "each comes out of a Cast"


def test_a_graph_computes_with_the_stored_numbers() -> None:
    weights = {
        "first": rounded(100, 3, 1, 1),
        "second": rounded(100, 100, 1, 1),
        "third": held(4, 100, 1, 1),
    }
    model = convolutions(weights)
    x = rounded(1, 3, 2, 2)
    expected = x.astype(np.float64)
    for name in weights:
        stored = weights[name].astype(np.float16) if name == "second" else weights[name]
        expected = np.einsum("oi,nihw->nohw", stored[:, :, 0, 0].astype(np.float64), expected)

    store_float16(model)

    onnx.checker.check_model(model, full_check=True)
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    assert kinds == {
        "first": TensorProto.FLOAT,
        "second.float16": TensorProto.FLOAT16,
        "third.float16": TensorProto.FLOAT16,
        "no weight": TensorProto.FLOAT,
    }
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
