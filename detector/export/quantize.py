"""int8: a float model file and some pictures into a smaller, faster model file (NNCF, QDQ)."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from detector import metadata
from detector.engine import import_openvino
from detector.errors import DetectorError
from detector.export.float16 import store_float16
from detector.export.frames import Frames, UInt8


def quantize(path: Path, pictures: Sequence[Path], notes: Mapping[str, str]) -> onnx.ModelProto:
    """The int8 form of a float model file, calibrated on `pictures`; metadata is carried on.

    Raises DetectorError without pictures, and for files that cannot be quantised.
    """
    floats = float_graph(path)
    frames = Frames(pictures, metadata.read(path).input_size)
    if frames.failed:
        raise DetectorError(frames.failed[0])
    return with_notes(int8_graph(floats, frames), path, notes)


def float_graph(path: Path) -> onnx.ModelProto:
    """A float model file with its weights in float32: the quantiser looks for weights, not casts.

    Raises DetectorError for what is no float model file of ours with frames in, boxes out.
    """
    if metadata.read(path).precision == "int8":
        raise DetectorError(f"{path}: is int8 already; expected the float file it was made from")
    proto = onnx.load(path)
    ends = [value.name for value in [*proto.graph.input, *proto.graph.output]]
    if ends != ["frame", "boxes", "scores"]:
        raise DetectorError(
            f"{path}: has {', '.join(ends)}, expected frame, boxes, scores; export it without "
            "--input and --outputs"
        )
    constants = {t.name: t for t in proto.graph.initializer}
    casts = [n for n in proto.graph.node if n.op_type == "Cast" and n.input[0].endswith(".float16")]
    for node in casts:
        values = numpy_helper.to_array(constants[node.input[0]]).astype(np.float32)
        constants[node.input[0]].CopyFrom(numpy_helper.from_array(values, node.output[0]))
        proto.graph.node.remove(node)
    return proto


def int8_graph(floats: onnx.ModelProto, frames: Sequence[UInt8]) -> onnx.ModelProto:
    """The graph with quantisers, from that of `float_graph`, which is left as it is.

    frames: pictures to calibrate on, (1, h, w, 3) uint8 BGR of one size.

    Weights per channel, activations per tensor (NNCF's mixed preset: asymmetric only where values
    are of both signs). Anchors, box decoding and the first depthwise convolution stay in float, and
    by NNCF's own rules the two small convolutions of each squeeze-and-excite.
    """
    import_openvino()  # before nncf, whose telemetry it keeps quiet
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA
    nncf = importlib.import_module("nncf")
    if not len(frames):
        raise DetectorError(
            "quantize: no pictures to calibrate on; expected about 300 like those in use"
        )
    nncf.set_log_level(logging.ERROR)
    dataset = nncf.Dataset(range(len(frames)), lambda index: {"frame": frames[index]})
    nodes = floats.graph.node
    kept = [node.name for node in nodes if node.name.startswith(("anchors.", "decode."))]
    kept += first_depthwise(floats)
    copy = onnx.ModelProto()
    copy.CopyFrom(floats)
    quantized: onnx.ModelProto = nncf.quantize(
        copy,
        dataset,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(frames),
        ignored_scope=nncf.IgnoredScope(names=[*kept, "boxes", "scores"]),
    )
    return quantized


def with_notes(int8: onnx.ModelProto, path: Path, notes: Mapping[str, str]) -> onnx.ModelProto:
    """A graph with quantisers as a model file in memory, with the metadata of the float one.

    The weights that are still float are stored as in files of float16. The shapes that the
    quantiser noted are left out: engines work them out, and they take 68 kB, an eighth of the
    smallest files.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(int8)
    store_float16(proto)
    del proto.graph.value_info[:]
    props = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    props.update({"precision": "int8", **notes})
    del proto.metadata_props[:]
    helper.set_model_props(proto, props)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def first_depthwise(proto: onnx.ModelProto) -> list[str]:
    """The name of the first depthwise convolution, the one layer that int8 hurts.

    It follows the stem directly, and its channels' ranges differ by orders of magnitude, which one
    scale for all cannot hold. On 169 pictures of COCO 2017 train, keeping it (0.8 % of the
    multiply-adds) brings the mean error of scores above 0.1 from 0.021 to 0.012, and of boxes
    (1 - IoU) from 0.028 to 0.020; keeping any other layer, or the whole block, gains nothing more.
    """
    for node in proto.graph.node:
        groups = [a.i for a in node.attribute if a.name == "group"]
        if node.op_type == "Conv" and groups and groups[0] > 1:
            return [node.name]
    return []
