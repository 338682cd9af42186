"""Which weights of a file are halves, and that the graph computes with them as before."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from detector.export.float16 import SMALL, bears_float16, store_float16

RNG = np.random.default_rng(0)
LARGE = (SMALL // 100, 100, 1, 1)


def rounded(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that float16 does not hold."""
    return RNG.normal(size=shape).astype(np.float32)


def held(shape: tuple[int, ...]) -> np.ndarray:
    return rounded(shape).astype(np.float16).astype(np.float32)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (rounded(LARGE), True),
        (rounded((SMALL - 1, 1, 1, 1)), False),
        (held((32, 1, 3, 3)), True),
        (np.full((1, 1, 1, 1), 1e6, np.float32), False),  # float16 ends at 65,504
        (np.full((1, 1, 1, 1), 1e-9, np.float32), False),
        (np.zeros((0, 1, 3, 3), np.float32), True),
    ],
)
def test_small_weights_that_would_be_rounded_stay_whole(weight: np.ndarray, expected: bool) -> None:
    assert bears_float16(weight) is expected


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(-1e5, 1e5, width=32)))
def test_a_small_weight_is_never_changed(weight: np.ndarray) -> None:
    if bears_float16(weight):
        np.testing.assert_array_equal(weight.astype(np.float16).astype(np.float32), weight)


def test_a_graph_computes_with_the_stored_numbers() -> None:
    weights = {
        "first": rounded((100, 3, 1, 1)),
        "second": rounded(LARGE),
        "third": held((4, 100, 1, 1)),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "first"], ["a"]),
            helper.make_node("Conv", ["a", "second"], ["b"]),
            helper.make_node("Conv", ["b", "third"], ["y"]),
        ],
        "three",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 2, 2])],
        [
            *(numpy_helper.from_array(value, name) for name, value in weights.items()),
            numpy_helper.from_array(rounded((1, 1, 100, 100)), "no weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    x = rounded((1, 3, 2, 2))
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
