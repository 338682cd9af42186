"""TensorFlow Lite's operators give what ONNX's do, each alone and in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from detector.errors import DetectorError
from detector.export.onnx import OPSET

ort = pytest.importorskip("onnxruntime")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
from detector.export.formats.onnx_to_lite import Converter  # noqa: E402

RNG = np.random.default_rng(0)
SAME = {"auto_pad": "SAME_UPPER", "kernel_shape": [3, 3]}
SHAPE = (1, 4, 5, 6)
N, C, H, W = SHAPE


def halves(*shape: int) -> np.ndarray:
    """Random numbers that float16 holds exactly."""
    return RNG.normal(size=shape).astype(np.float16).astype(np.float32)


def both(nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], shape=SHAPE, kind=1):
    """What ONNX Runtime and LiteRT make of a graph from `x` to `y`: two arrays."""
    graph = helper.make_graph(
        nodes,
        "some",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opset, ir_version=9)
    )
    x = RNG.integers(0, 256, shape, np.uint8) if kind == TensorProto.UINT8 else halves(*shape) * 3
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    lite = interpreter.Interpreter(model_content=Converter(proto).pack(proto), num_threads=1)
    return session.run(["y"], {"x": x})[0], lite.get_signature_runner("serving_default")(x=x)["y"]


def node(kind: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


LIMITS = {"zero": np.float32(0), "six": np.float32(6)}
CASES = {
    "full": (
        [node("Conv", "x w b", "y", strides=[1, 1], **SAME)],
        {"w": halves(7, C, 3, 3), "b": halves(7)},
    ),
    "stride of 2": ([node("Conv", "x w", "y", strides=[2, 2], **SAME)], {"w": halves(7, C, 3, 3)}),
    "depthwise": (
        [node("Conv", "x w", "y", strides=[2, 2], group=C, **SAME)],
        {"w": halves(C, 1, 3, 3)},
    ),
    "clipped": (
        [node("Conv", "x w", "a", strides=[1, 1], **SAME), node("Clip", "a zero six", "y")],
        {"w": halves(7, C, 3, 3), **LIMITS},
    ),
    "clipped, but needed as it was too": (
        [
            node("Conv", "x w", "a", strides=[1, 1], **SAME),
            node("Clip", "a zero six", "b"),
            node("Sub", "a b", "y"),
        ],
        {"w": halves(7, C, 3, 3), **LIMITS},
    ),
    "clip alone": ([node("Clip", "x zero six", "y")], LIMITS),
    "relu behind a sum": ([node("Add", "x x", "a"), node("Relu", "a", "y")], {}),
    "maximum": ([node("MaxPool", "x", "y", strides=[2, 2], **SAME)], {}),
    "squeeze and excite": (
        [
            node("Conv", "x w", "a", strides=[1, 1], **SAME),
            node("ReduceMean", "a axes", "b", keepdims=1),
            node("HardSigmoid", "b", "c", alpha=1 / 6, beta=0.5),
            node("Mul", "a c", "y"),
        ],
        {"w": halves(4, C, 3, 3), "axes": np.array([2, 3])},
    ),
    "hard swish": ([node("HardSwish", "x", "y")], {}),
    "by channel": (
        [
            node("Conv", "x w", "a", strides=[1, 1], **SAME),
            node("Mul", "a k", "y"),
        ],
        {"w": halves(4, C, 3, 3), "k": halves(1, 4, 1, 1)},
    ),
    "predictor": (
        [
            node("Conv", "x w", "a", strides=[1, 1], **SAME),
            node("Transpose", "a", "b", perm=[0, 2, 3, 1]),
            node("Reshape", "b shape", "c"),
            node("Sigmoid", "c", "d"),
            node("Concat", "d c", "y", axis=1),
        ],
        {"w": halves(6, C, 3, 3), "shape": np.array([1, -1, 3])},
    ),
    "columns": (
        [
            node("Reshape", "x shape", "a"),
            node("Slice", "a two end last", "b"),
            node("Exp", "b", "y"),
        ],
        {
            "shape": np.array([1, -1, 4]),
            "two": np.array([2]),
            "end": np.array([2**62]),
            "last": np.array([-1]),
        },
    ),
    "an order of axes of its own": ([node("Transpose", "x", "y", perm=[0, 1, 3, 2])], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator(case: str) -> None:
    expected, found = both(*CASES[case])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_a_frame_of_bytes() -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Cast", "a", "b", to=TensorProto.FLOAT),
        node("Mul", "b k", "c"),
        node("Conv", "c w", "y", strides=[2, 2], **SAME),
    ]
    constants = {"k": np.float32(2 / 255), "w": halves(5, 3, 3, 3)}
    expected, found = both(nodes, constants, (1, 8, 9, 3), TensorProto.UINT8)
    assert found.shape == (1, 5, 4, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_an_operator_that_it_does_not_know() -> None:
    with pytest.raises(DetectorError, match="operator Softmax"):
        both([node("Softmax", "x", "y")], {})


def test_groups_are_refused() -> None:
    grouped = [node("Conv", "x w", "y", strides=[1, 1], group=2, **SAME)]
    with pytest.raises(DetectorError, match="no convolution of 2 groups"):
        both(grouped, {"w": halves(4, 2, 3, 3)})
