"""A network into one `.onnx` file that needs no second one.

In: `frame`, uint8 BGR (1, H, W, 3), any H and W. Out: `boxes` (1, A, 4) xyxy as fractions of the
frame, `scores` (1, A, K) in 0..1. Normalisation, anchors, decoding and sigmoid are inside; NMS is
not. Weights are stored in float16 and computed with in float32.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detector import metadata
from detector.errors import DetectorError
from detector.export.decoder import append_decoder
from detector.model.checkpoint import ModelCard, images_to_input
from detector.model.layers import ConvBN
from detector.model.ssdlite import SSDLite

OPSET = 18


class _Network(nn.Module):
    """Frame in, logits and offsets out; `model` is copied and its batch norms fused."""

    def __init__(self, model: SSDLite) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        for layer in self.model.modules():
            if isinstance(layer, ConvBN) and isinstance(layer.bn, nn.BatchNorm2d):
                layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
                layer.bn = nn.Identity()
        # Frames are BGR and the network wants RGB: swap its first filters instead of every frame.
        stem = self.model.backbone.stem.conv
        stem.weight = nn.Parameter(stem.weight.flip(1))

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (1, H, W, 3) BGR -> logits (1, A, K), offsets (1, A, 4)."""
        logits, offsets = self.model(images_to_input(frame.permute(0, 3, 1, 2)))
        return logits, offsets


def to_onnx(model: SSDLite, card: ModelCard, notes: Mapping[str, str]) -> onnx.ModelProto:
    """The model file in memory. `notes` go to its metadata beside what `card` says."""
    size = model.anchors.native_size
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # At one size: following symbolic sizes through six halvings takes the exporter forever.
        # Nothing it writes depends on the size but the reshapes, which `_free_the_size` mends.
        program = torch.onnx.export(
            _Network(model),
            (torch.zeros(1, size, size, 3, dtype=torch.uint8),),
            dynamo=True,
            input_names=["frame"],
            output_names=["logits", "offsets"],
            opset_version=OPSET,
            optimize=False,  # it would turn SAME_UPPER into the pads of this one size
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnxscript.optimizer.fold_constants(proto)
    onnxscript.optimizer.remove_unused_nodes(proto)
    _tidy(proto)
    _free_the_size(proto)
    append_decoder(proto.graph, model.anchors, len(card.class_names))
    store_float16(proto)
    fields = {**metadata.describe(card.class_names, size), **notes}
    for key in ("backbone", "trained_on", "licence", "source"):
        fields[key] = str(getattr(card, key))
    fields["alpha"] = str(card.alpha)
    helper.set_model_props(proto, fields)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _free_the_size(proto: onnx.ModelProto) -> None:
    """Let the graph take any height and width: name the input's sides, flatten maps to -1 rows."""
    sides = proto.graph.input[0].type.tensor_type.shape.dim
    sides[1].dim_param, sides[2].dim_param = "height", "width"
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Reshape":
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
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


def store_float16(proto: onnx.ModelProto) -> None:
    """Store every convolution's weight as float16 with a Cast behind it, in place.

    Engines fold the Cast when they compile; only the file shrinks.
    """
    graph, casts = proto.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 4:
            continue
        name = tensor.name
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def write(path: Path, proto: onnx.ModelProto) -> None:
    """Write a model file under a temporary name, then rename: never half a file."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(proto.SerializeToString(deterministic=True))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DetectorError(f"{path}: cannot be written ({error}); name a writable place") from error
