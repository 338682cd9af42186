"""The network in a model file, run and trained by torch node by node, rounding included.

The graph that ships is the graph that learns: what is rounded, by channel or by tensor, with which
range, and what stays in float is read from the file and not decided again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import NodeProto, helper, numpy_helper
from torch import Tensor, nn

from detector.errors import DetectorError

OUTPUTS = ("logits", "offsets")  # of the graph before sigmoid and box decoding
Attributes = Mapping[str, Any]


class Step(NamedTuple):
    """A node: what it does to which values, and what it calls the result."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


class Rounded(NamedTuple):
    """An int8 weight in the file. latent: its parameter. levels: the largest number it may hold.

    top: (C_out,), what a channel's largest value is before it is rounded to one: 127, or 63.5 of
    64, or less in channels of values near zero, which share the smallest scale, `least`.
    """

    latent: str
    integers: str
    scale: str
    levels: int
    top: Tensor
    least: float

    def scales(self, weight: Tensor) -> Tensor:
        """(C_out, ...) -> (C_out,): what one step is worth in each channel."""
        return (weight.abs().flatten(1).amax(dim=1) / self.top).clamp(min=self.least)


class GraphNetwork(nn.Module):
    """uint8 BGR frames (N, H, W, 3) -> logits (N, A, K) and offsets (N, A, 4), as the file's.

    Convolutions' weights and biases are learned. A weight that is int8 in the file starts
    from the float file's and is rounded at each use, by a scale for each output channel that
    follows the largest of its values; ranges of activations are the file's. Gradients pass rounding
    unchanged, and are zero for values out of range (straight-through estimator; Jacob et al. 2018,
    section 3).

    graph: a float or an int8 graph. floats: the float one it was made from. Raises DetectorError
    for a kind of node that is none of our networks'.
    """

    def __init__(self, graph: onnx.ModelProto, floats: onnx.ModelProto) -> None:
        super().__init__()
        nodes = _needed(graph)
        kinds = {node.op_type for node in nodes} - {"Constant"}
        if unknown := sorted(kinds - set(OPERATIONS)):
            raise DetectorError(f"fine-tuning: cannot train a network with {', '.join(unknown)}")
        self.steps = [_step(node) for node in nodes if node.op_type != "Constant"]
        self.constants: dict[str, Tensor] = _tensors(graph) | {
            node.output[0]: _tensor(helper.get_attribute_value(node.attribute[0]))
            for node in nodes
            if node.op_type == "Constant"
        }
        self.learned = nn.ParameterDict()
        self.units: dict[str, Tensor] = {}  # of the parameters
        self.rounded: dict[str, Rounded] = {}  # by what its DequantizeLinear is called
        originals = {node.name: node.input[1] for node in floats.graph.node if len(node.input) > 1}
        weights = _tensors(floats)
        made_by = {node.output[0]: node for node in nodes}
        for node in nodes:
            if node.op_type != "Conv":
                continue
            given, latent = node.input[1], originals[node.name]
            if given not in self.constants:
                integers, scale = made_by[given].input[:2]
                levels = int(self.constants[integers].abs().max())
                scales = self.constants[scale]
                latents = as_rounded(weights[latent], self.constants[integers], scales)
                top = (latents.abs().amax((1, 2, 3)) / scales).clamp(min=1.0)
                weights[latent], least = latents, float(scales.min())
                self.rounded[given] = Rounded(latent, integers, scale, levels, top, least)
            self._learn(latent, weights[latent], weights[latent].abs().amax((1, 2, 3), True))
            for bias in node.input[2:]:
                self._learn(bias, self.constants[bias], self.constants[bias].abs().mean())

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        values = {"frame": frames}
        for step in self.steps:
            if step.output in self.rounded:
                values[step.output] = self._weight(self.rounded[step.output])
                continue
            inputs = [values[name] if name in values else self._held(name) for name in step.inputs]
            values[step.output] = OPERATIONS[step.kind](inputs, step.attributes)
        return values[OUTPUTS[0]], values[OUTPUTS[1]]

    def _learn(self, name: str, value: Tensor, unit: Tensor) -> None:
        """Make a constant a parameter, held in parts of `unit`.

        Folding batch norms leaves channels of very different sizes, and an optimiser's step of one
        size would be nothing to some and break others.
        """
        self.units[name] = unit.clamp(min=1e-6)
        self.learned[_key(name)] = value / self.units[name]

    def _held(self, name: str) -> Tensor:
        """A parameter in its own size, or a constant."""
        if name not in self.units:
            return self.constants[name]
        value: Tensor = self.learned[_key(name)] * self.units[name]
        return value

    def _weight(self, rounded: Rounded) -> Tensor:
        weight, levels = self._held(rounded.latent), rounded.levels
        scale = rounded.scales(weight.detach())
        nought = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, nought, 0, -levels, levels)

    @torch.no_grad()
    def write_into(self, graph: onnx.ModelProto, floats: onnx.ModelProto) -> None:
        """Put what was learned into copies of the graphs it was made from, in place.

        graph gets the rounded weights, floats the same weights before rounding; both the biases.
        """
        new = {name: self._held(name) for name in self.units}
        _replace(floats, new)
        for rounded in self.rounded.values():
            weight = self._held(rounded.latent)
            scale = rounded.scales(weight)
            whole = torch.round(weight / scale.view(-1, 1, 1, 1))
            whole = whole.clamp(-rounded.levels, rounded.levels).to(torch.int8)
            new |= {rounded.integers: whole, rounded.scale: scale}
        _replace(graph, new)


def as_rounded(weight: Tensor, integers: Tensor, scales: Tensor) -> Tensor:
    """The weight, moved by next to nothing where it lies between two steps, to the file's side.

    Half of a channel's largest value is just that, and common: one step more or less in a single
    weight of the stem changes the rounding of a third of all activations further down.
    """
    scale = scales.view(-1, 1, 1, 1)
    return (integers + (weight / scale - integers).clamp(-0.499, 0.499)) * scale


def _needed(graph: onnx.ModelProto) -> list[NodeProto]:
    """The nodes that OUTPUTS depend on, in the graph's order."""
    wanted, kept = set(OUTPUTS), []
    for node in reversed(graph.graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _step(node: NodeProto) -> Step:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return Step(node.op_type, tuple(node.input), node.output[0], attributes)


def _tensors(graph: onnx.ModelProto) -> dict[str, Tensor]:
    return {tensor.name: _tensor(tensor) for tensor in graph.graph.initializer}


def _tensor(constant: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(constant)))


def _replace(graph: onnx.ModelProto, new: Mapping[str, Tensor]) -> None:
    """Give constants new values, in place."""
    for tensor in graph.graph.initializer:
        if tensor.name in new:
            values = new[tensor.name].detach().numpy()
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _key(name: str) -> str:
    """A parameter's name, in which torch allows no dots."""
    return name.replace(".", "/")


def _same(x: Tensor, attributes: Attributes, border: float = 0.0) -> tuple[Tensor, int]:
    """SAME_UPPER: the input, padded where that is uneven, and the even padding left to do.

    border: what is padded with.
    """
    kernel, stride = attributes["kernel_shape"][0], attributes["strides"][0]
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return (x, pads[0]) if len(set(pads)) == 1 else (F.pad(x, pads, value=border), 0)


def _conv(inputs: Sequence[Tensor], attributes: Attributes) -> Tensor:
    x, padding = _same(inputs[0], attributes)
    weight, bias = inputs[1], inputs[2] if len(inputs) > 2 else None
    y: Tensor = F.conv2d(x, weight, bias, attributes["strides"][0], padding, 1, attributes["group"])
    return y


def _max_pool(inputs: Sequence[Tensor], attributes: Attributes) -> Tensor:
    x, padding = _same(inputs[0], attributes, -torch.inf)  # no maximum, even of negative values
    return F.max_pool2d(x, attributes["kernel_shape"][0], attributes["strides"][0], padding)


def _quantize(inputs: Sequence[Tensor], attributes: Attributes) -> Tensor:
    """What QuantizeLinear and the DequantizeLinear behind it make of the values."""
    x, scale, nought = inputs
    limits = torch.iinfo(nought.dtype)
    whole = nought.to(torch.int32)
    if scale.dim() == 0:
        return torch.fake_quantize_per_tensor_affine(x, scale, whole, limits.min, limits.max)
    axis = attributes["axis"]
    return torch.fake_quantize_per_channel_affine(x, scale, whole, axis, limits.min, limits.max)


OPERATIONS: dict[str, Callable[[Sequence[Tensor], Attributes], Tensor]] = {
    "Add": lambda x, a: x[0] + x[1],
    "Cast": lambda x, a: x[0].float(),
    "Clip": lambda x, a: x[0].clamp(float(x[1]), float(x[2])),
    "Concat": lambda x, a: torch.cat(list(x), a["axis"]),
    "Conv": _conv,
    "DequantizeLinear": lambda x, a: x[0],  # _quantize has done it
    "HardSigmoid": lambda x, a: (x[0] * a["alpha"] + a["beta"]).clamp(0, 1),
    "HardSwish": lambda x, a: F.hardswish(x[0]),
    "MaxPool": _max_pool,
    "Mul": lambda x, a: x[0] * x[1],
    "QuantizeLinear": _quantize,
    "ReduceMean": lambda x, a: x[0].mean(x[1].tolist(), keepdim=bool(a["keepdims"])),
    "Relu": lambda x, a: F.relu(x[0]),
    # Only heads reshape, to (1, anchors, values): here of as many pictures as there are.
    "Reshape": lambda x, a: x[0].reshape(len(x[0]), *x[1].tolist()[1:]),
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
}
