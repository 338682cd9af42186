"""A network into one `.onnx` file that needs no second one.

In: `frame`, uint8 BGR (1, H, W, 3), any H and W. Out: `boxes` (1, A, 4) xyxy as fractions of the
frame, `scores` (1, A, K) in 0..1. Normalisation, anchors, decoding and sigmoid are inside; NMS is
not (plainer variants for other hosts: `detector.export.interface`). Weights are stored in float16,
but for a few small ones, and computed with in float32.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import onnxscript.optimizer
import torch
from onnx import helper, numpy_helper
from torch import nn

from detector.export.decoder import append_decoder
from detector.export.float16 import store_float16
from detector.export.interface import Order
from detector.export.network import Heads, example
from detector.export.suppression import append_nms
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite
from detector.outfile import write_whole

OPSET = 18


def to_onnx(model: SSDLite, card: ModelCard, notes: Mapping[str, str]) -> onnx.ModelProto:
    """The model file in memory. `notes` go to its metadata beside what `card` says.

    model: in any mode, left as it is. The same model and card give the same file again.
    """
    return build(Order(model, card, card.input_size or model.anchors.native_size), notes)


def build(order: Order, notes: Mapping[str, str]) -> onnx.ModelProto:
    """The file of an order in memory, as `to_onnx`; its inputs may have any size."""
    proto = trace(Heads(order), order, ("logits", "offsets"))
    _free_the_size(proto, order)
    if order.outputs != "raw":
        append_decoder(proto.graph, order.model.anchors, len(order.card.class_names))
    if order.outputs == "nms":
        append_nms(proto.graph, order.limits())
    if order.precision == "float16":
        store_float16(proto)
    helper.set_model_props(proto, {**order.described(), **notes})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def trace(network: nn.Module, order: Order, output_names: tuple[str, ...]) -> onnx.ModelProto:
    """The network as torch exports it, at one size, with constants folded.

    Following symbolic sizes through six halvings takes the exporter forever, and nothing it writes
    depends on the size but the reshapes, which `_free_the_size` mends.
    """
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (example(order),),
            dynamo=True,
            input_names=[order.input_name],
            output_names=list(output_names),
            opset_version=OPSET,
            optimize=False,  # it would turn SAME_UPPER into the pads of this one size
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    onnxscript.optimizer.fold_constants(proto)
    onnxscript.optimizer.remove_unused_nodes(proto)
    _tidy(proto)
    return proto


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No chatter from torch's exporter, whose warnings are about its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _free_the_size(proto: onnx.ModelProto, order: Order) -> None:
    """Let the graph take any height and width: name the input's sides, flatten maps to -1 rows."""
    sides = proto.graph.input[0].type.tensor_type.shape.dim
    first = 1 if order.input == "frame" else 2
    sides[first].dim_param, sides[first + 1].dim_param = "height", "width"
    if order.outputs == "raw":
        for output in proto.graph.output:
            output.type.tensor_type.shape.dim[1].dim_param = "anchors"
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Reshape":  # only predictors reshape: (1, H * W * per_cell, values)
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            assert len(shape) == 3
            shape[1] = -1
            constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))


def _tidy(proto: onnx.ModelProto) -> None:
    """Remove what the exporter says of itself (paths of this machine among it)."""
    proto.producer_name, proto.producer_version, proto.doc_string = "detector", "", ""
    graph = proto.graph
    graph.name = "ssdlite"
    del graph.value_info[:]
    del proto.functions[:]
    for item in [*graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.ClearField("doc_string")
        del item.metadata_props[:]


def write(path: Path, proto: onnx.ModelProto) -> None:
    """Write a model file, whole or not at all; DetectorError where it cannot be written."""
    write_whole(path, proto.SerializeToString(deterministic=True), "--out")
