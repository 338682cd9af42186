"""Which layers of an int8 file are int8, and how to put some of them back into float.

Nothing is calibrated again: the float graph's nodes and tensors keep their names in the int8 one,
so a layer is put back by giving it the inputs that it has in the float graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
import onnxscript.optimizer
from onnx import NodeProto

BACK = ".float"  # behind the name of a constant that the int8 graph has in another form


def int8_layers(int8: onnx.ModelProto) -> dict[str, str]:
    """Each node that takes int8 inputs, by its name; the value is what a person calls it.

    Convolutions go by their weight (`backbone.blocks.0.depthwise`), the rest by the node.
    """
    made_by = {out: node for node in int8.graph.node for out in node.output}
    layers: dict[str, str] = {}
    for node in int8.graph.node:
        givers = [made_by[name] for name in node.input if name in made_by]
        if any(one.op_type == "DequantizeLinear" for one in givers):
            layers[node.name] = _called(node, made_by)
    return layers


def restore(
    int8: onnx.ModelProto, floats: onnx.ModelProto, names: Collection[str]
) -> onnx.ModelProto:
    """A copy of `int8` in which the nodes `names` compute as in `floats`, biases included.

    int8 was made from floats, whose weights are plain float32 constants. What nothing takes any
    more, quantisers among it, is gone.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(int8)
    originals = {node.name: node for node in floats.graph.node}
    constants = {tensor.name: tensor for tensor in floats.graph.initializer}
    added: set[str] = set()
    for node in proto.graph.node:
        if node.name not in names:
            continue
        taken = list(originals[node.name].input)
        del node.input[:]
        node.input.extend(name + BACK if name in constants else name for name in taken)
        added.update(name for name in taken if name in constants)
    for name in sorted(added):
        tensor = proto.graph.initializer.add()
        tensor.CopyFrom(constants[name])
        tensor.name = name + BACK
    onnxscript.optimizer.remove_unused_nodes(proto)
    return proto


def _called(node: NodeProto, made_by: Mapping[str, NodeProto]) -> str:
    """`backbone.blocks.0.depthwise`, or for what has no weight its kind and name."""
    if node.op_type != "Conv":
        return f"{node.op_type} {node.name.removeprefix('node_')}"
    weight = made_by[node.input[1]].output[0] if node.input[1] in made_by else node.input[1]
    path = weight.partition("model.")[2].partition(".weight")[0]
    return path.removesuffix(".conv") or node.name
