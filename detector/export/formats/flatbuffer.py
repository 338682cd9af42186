"""A TensorFlow Lite graph under construction: tensors, operators, and the file's bytes.

The schema's classes come with LiteRT's runtime, which therefore is all that writing takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Both without types, hence Any.
flatbuffers: Any = importlib.import_module("flatbuffers")
schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
_FLOAT16_DEQUANTIZE = 3  # the operator's first version that takes halves


class LiteGraph:
    """One subgraph. Tensors are known by their number."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version, self._model.description = 3, "detector"
        self._model.buffers = [schema.BufferT()]  # the first is that of all tensors without data
        self._model.operatorCodes = []
        self._codes: dict[int, int] = {}
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def tensor(
        self, shape: Sequence[int], dtype: npt.DTypeLike = np.float32, name: str = ""
    ) -> int:
        """A new tensor that an operator, or the host, is to fill."""
        made = schema.TensorT()
        made.shape, made.type, made.buffer = list(shape), _TYPES[np.dtype(dtype)], 0
        made.name = name or f"t{len(self._graph.tensors)}"
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def rename(self, tensor: int, name: str) -> None:
        """Give a tensor the name that hosts see."""
        self._graph.tensors[tensor].name = name

    def const(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> int:
        """A new constant."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        number = self.tensor(np.shape(value), dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._graph.tensors[number].buffer = len(self._model.buffers) - 1
        return number

    def half(self, value: npt.NDArray[np.float32]) -> int:
        """A new constant stored in float16; runtimes turn it to float32 when they load it."""
        return self.op("DEQUANTIZE", [self.const(value, np.float16)], value.shape)

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str = "",
        **fields: object,
    ) -> int:
        """Append an operator with one float32 output of `shape`; returns that tensor.

        kind: a name of the schema's BuiltinOperator. options: of its BuiltinOptions, default none,
        with their `fields`.
        """
        made = schema.OperatorT()
        made.opcodeIndex = self._opcode(kind)
        made.inputs, made.outputs = list(inputs), [self.tensor(shape)]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in fields.items():
                assert hasattr(made.builtinOptions, name), name
                setattr(made.builtinOptions, name, value)
        self._graph.operators.append(made)
        output: int = made.outputs[0]
        return output

    def _opcode(self, kind: str) -> int:
        builtin = getattr(schema.BuiltinOperator, kind)
        if builtin not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
            code.version = _FLOAT16_DEQUANTIZE if kind == "DEQUANTIZE" else 1
            self._codes[builtin] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[builtin]

    def pack(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file; `inputs` and `outputs` are also its signature, `serving_default`."""
        self._graph.inputs, self._graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = _named(inputs), _named(outputs)
        self._model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _named(tensors: Mapping[str, int]) -> list[object]:
    maps = []
    for name, number in tensors.items():
        made = schema.TensorMapT()
        made.name, made.tensorIndex = name, number
        maps.append(made)
    return maps
