"""The operators our networks have in ONNX, as TensorFlow Lite's, channels last.

A map of ONNX's (N, C, H, W) is kept as (N, H, W, C), so the transposes at both ends of the network
vanish. SAME padding is a notion of both formats: no padding operator is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from detector.errors import DetectorError
from detector.export.float16 import halved
from detector.export.formats.flatbuffer import LiteGraph, schema
from detector.export.interface import Precision

Array = npt.NDArray[Any]
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_ACTIVATIONS = {(0.0, 6.0): schema.ActivationFunctionType.RELU6}
_BINARY = {"Add": "AddOptions", "Sub": "SubOptions", "Mul": "MulOptions", "Div": "DivOptions"}
_UNARY = {"Exp": "EXP", "Sigmoid": "LOGISTIC", "HardSwish": "HARD_SWISH"}


class Converter:
    """Takes the nodes of an ONNX graph of fixed sizes one by one. precision: to keep weights in."""

    def __init__(self, proto: onnx.ModelProto, precision: Precision = "float16") -> None:
        graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
        self.lite = LiteGraph()
        self.halved = halved(proto) if precision == "float16" else {}
        self.shapes = {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in [*graph.input, *graph.value_info, *graph.output]
        }
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        self.tensors: dict[str, int] = {}
        self.last: set[str] = set()  # those kept with channels last
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(value.name for value in graph.output)
        self.clips = {n.input[0]: n for n in graph.node if n.op_type in ("Clip", "Relu")}
        for value in graph.input:
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            self.tensors[value.name] = self.lite.tensor(self.shapes[value.name], dtype, value.name)
        for node in graph.node:
            self._convert(node)

    def pack(self, proto: onnx.ModelProto) -> bytes:
        """The TensorFlow Lite file."""
        outputs = {value.name: self.plain(value.name) for value in proto.graph.output}
        for name, tensor in outputs.items():
            self.lite.rename(tensor, name)
        return self.lite.pack({v.name: self.tensors[v.name] for v in proto.graph.input}, outputs)

    def _convert(self, node: onnx.NodeProto) -> None:
        if node.output[0] in self.tensors:  # an activation that its convolution has taken in
            return
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            (value,) = attributes.values()  # a tensor, or plain numbers
            is_tensor = isinstance(value, onnx.TensorProto)
            self.constants[node.output[0]] = (
                numpy_helper.to_array(value) if is_tensor else np.asarray(value)
            )
            return
        if node.op_type in _BINARY:
            self._binary(node)
            return
        if node.op_type in _UNARY:
            self._like(node, _UNARY[node.op_type])
            return
        method = getattr(self, f"_{node.op_type.lower()}", None)
        if method is None:
            raise DetectorError(
                f"tflite: this network has the operator {node.op_type}, which this project does "
                "not write for TensorFlow Lite; export another format"
            )
        method(node, attributes)

    # Values --------------------------------------------------------------------------------------

    def shape(self, name: str) -> list[int]:
        """The shape of a value as it is kept."""
        shape = self.shapes[name]
        return [shape[i] for i in _TO_LAST] if name in self.last else shape

    def plain(self, name: str) -> int:
        """A value with ONNX's order of axes."""
        if name in self.constants:
            return self.lite.const(self.constants[name])
        if name not in self.last:
            return self.tensors[name]
        return self._permuted(self.tensors[name], _TO_FIRST, self.shapes[name])

    def channels_last(self, name: str) -> int:
        """A value of four axes as (N, H, W, C)."""
        if name in self.last:
            return self.tensors[name]
        shape = [self.shapes[name][i] for i in _TO_LAST]
        return self._permuted(self.tensors[name], _TO_LAST, shape)

    def _permuted(self, tensor: int, order: Sequence[int], shape: Sequence[int]) -> int:
        by = self.lite.const(order, np.int32)
        return self.lite.op("TRANSPOSE", [tensor, by], shape, "TransposeOptions")

    def _activation(self, node: onnx.NodeProto) -> tuple[str, int]:
        """The name that a node's result goes by, and its activation, taken in where it can be."""
        name = node.output[0]
        clip = self.clips.get(name)
        if clip is None or self.uses[name] > 1:
            return name, schema.ActivationFunctionType.NONE
        return clip.output[0], self._function(clip)

    def _function(self, node: onnx.NodeProto) -> int:
        if node.op_type == "Relu":
            return int(schema.ActivationFunctionType.RELU)
        low, high = (float(self.constants[name]) for name in node.input[1:3])
        if (low, high) not in _ACTIVATIONS:
            raise DetectorError(f"tflite: it has no activation that clips to {low}..{high}")
        return int(_ACTIVATIONS[low, high])

    # Operators -----------------------------------------------------------------------------------

    def _conv(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        name, activation = self._activation(node)
        weight = self.constants[node.input[1]].astype(np.float32)
        channels = weight.shape[0]
        bias = self.constants[node.input[2]] if len(node.input) > 2 else np.zeros(channels)
        group = attributes.get("group", 1)
        depthwise = group == channels == self.shapes[node.input[0]][1] and group > 1
        if group > 1 and not depthwise:
            raise DetectorError(f"tflite: no convolution of {group} groups; export another format")
        order = [1, 2, 3, 0] if depthwise else [0, 2, 3, 1]
        self.last.add(name)
        self.shapes[name] = self.shapes[node.output[0]]
        x = self.channels_last(node.input[0])
        store = self.lite.half if node.input[1] in self.halved else self.lite.const
        fields = {"depthMultiplier": 1} if depthwise else {}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self.tensors[name] = self.lite.op(
            kind,
            [x, store(weight.transpose(order)), self.lite.const(bias)],
            self.shape(name),
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            **self._window(attributes),
            fusedActivationFunction=activation,
            **fields,
        )

    def _window(self, attributes: dict[str, Any]) -> dict[str, int]:
        assert attributes["auto_pad"] == b"SAME_UPPER"
        high, wide = attributes["strides"]
        return {"padding": schema.Padding.SAME, "strideH": high, "strideW": wide}

    def _maxpool(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        name = node.output[0]
        self.last.add(name)
        high, wide = attributes["kernel_shape"]
        self.tensors[name] = self.lite.op(
            "MAX_POOL_2D",
            [self.channels_last(node.input[0])],
            self.shape(name),
            "Pool2DOptions",
            **self._window(attributes),
            filterHeight=high,
            filterWidth=wide,
        )

    def _like(self, node: onnx.NodeProto, kind: str) -> None:
        """An operator on each number alone, without options."""
        name, x = node.output[0], node.input[0]
        if x in self.last:
            self.last.add(name)
        self.tensors[name] = self.lite.op(kind, [self.tensors[x]], self.shape(name))

    def _binary(self, node: onnx.NodeProto) -> None:
        name, activation = self._activation(node)
        self.shapes[name] = self.shapes[node.output[0]]
        maps = any(x in self.last for x in node.input)
        if maps:
            self.last.add(name)
        inputs = [self._operand(x, maps) for x in node.input]
        self.tensors[name] = self.lite.op(
            node.op_type.upper(),
            inputs,
            self.shape(name),
            _BINARY[node.op_type],
            fusedActivationFunction=activation,
        )

    def _operand(self, name: str, maps: bool) -> int:
        if name in self.constants:
            value = self.constants[name]
            return self.lite.const(value.transpose(_TO_LAST) if maps and value.ndim == 4 else value)
        return self.channels_last(name) if maps else self.tensors[name]

    def _clip(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        six = self._function(node) == schema.ActivationFunctionType.RELU6
        self._like(node, "RELU6" if six else "RELU")

    _relu = _clip

    def _hardsigmoid(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        """min(max(x / 6 + 1 / 2, 0), 1) as relu6(x + 3) / 6, which it has operators for."""
        assert abs(attributes["alpha"] - 1 / 6) < 1e-6
        name, x = node.output[0], node.input[0]
        if x in self.last:
            self.last.add(name)
        six = schema.ActivationFunctionType.RELU6
        shape, three, sixth = self.shape(name), self.lite.const(3.0), self.lite.const(1 / 6)
        moved = self.lite.op(
            "ADD", [self.tensors[x], three], shape, "AddOptions", fusedActivationFunction=six
        )
        self.tensors[name] = self.lite.op("MUL", [moved, sixth], shape, "MulOptions")

    def _reducemean(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        """Of a map over its height and width."""
        axes = self.constants[node.input[1]].tolist()
        assert axes in ([2, 3], [-1, -2], [-2, -1])
        assert attributes.get("keepdims", 1)
        name, x = node.output[0], self.channels_last(node.input[0])
        self.last.add(name)
        rows = self.lite.const([1, 2], np.int32)
        shape = self.shape(name)
        self.tensors[name] = self.lite.op("MEAN", [x, rows], shape, "ReducerOptions", keepDims=True)

    def _cast(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        assert attributes["to"] == onnx.TensorProto.FLOAT
        self._like(node, "CAST")

    def _transpose(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        """Between ONNX's order of axes and this one's nothing has to be moved."""
        x, name, order = node.input[0], node.output[0], list(attributes["perm"])
        if order == _TO_FIRST and x not in self.last:
            self.tensors[name] = self.tensors[x]
            self.last.add(name)
        elif order == _TO_LAST and x in self.last:
            self.tensors[name] = self.tensors[x]
        else:
            self.tensors[name] = self._permuted(self.plain(x), order, self.shapes[name])

    def _reshape(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        name = node.output[0]
        shape = self.shapes[name]
        inputs = [self.plain(node.input[0]), self.lite.const(shape, np.int32)]
        self.tensors[name] = self.lite.op(
            "RESHAPE", inputs, shape, "ReshapeOptions", newShape=list(shape)
        )

    def _concat(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        name = node.output[0]
        inputs = [self.plain(x) for x in node.input]
        axis = attributes["axis"] % len(self.shapes[name])
        self.tensors[name] = self.lite.op(
            "CONCATENATION", inputs, self.shapes[name], "ConcatenationOptions", axis=axis
        )

    def _slice(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        x, name = node.input[0], node.output[0]
        starts, _, axes = (self.constants[part].tolist() for part in node.input[1:4])
        begin = [0] * len(self.shapes[x])
        for axis, start in zip(axes, starts, strict=True):
            begin[axis] = start if start >= 0 else start + self.shapes[x][axis]
        size = self.lite.const(self.shapes[name], np.int32)
        inputs = [self.plain(x), self.lite.const(begin, np.int32), size]
        self.tensors[name] = self.lite.op("SLICE", inputs, self.shapes[name], "SliceOptions")
