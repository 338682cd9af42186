"""A model file's graph in torch: the same numbers as ONNX Runtime's, and gradients to learn by."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import seen_blobs
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

from detector.errors import DetectorError
from detector.export.graph_network import OUTPUTS, GraphNetwork, Rounded, as_rounded
from detector.export.onnx import to_onnx, write
from detector.export.quantize import float_graph, int8_graph
from detector.model.checkpoint import ModelCard, build
from detector.predictor import COCO_FLOAT, COCO_INT8

SIDE = 96


def soft(count: int, side: int = SIDE) -> np.ndarray:
    """Soft random frames (count, side, side, 3) uint8."""
    noise = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    frames = torch.nn.functional.interpolate(noise, side, mode="bilinear") * 255
    return frames.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()


def graphs(folder: Path, backbone: str, head: str = "ssdlite") -> tuple[ModelProto, ModelProto]:
    """The float and the int8 graph of a small network like a trained one."""
    torch.manual_seed(0)
    card = ModelCard(("a", "b"), 0.25, backbone, head=head, input_size=SIDE)
    model = build(card)
    seen_blobs(model, SIDE, 6, times=2)
    with patch("detector.export.float16.SHARE", 0):  # all of them halves
        write(folder / "model.onnx", to_onnx(model.eval(), card, {}))
    floats = float_graph(folder / "model.onnx")
    return floats, int8_graph(floats, [frame[None] for frame in soft(6)])


def runtime(graph: ModelProto, frames: np.ndarray) -> list[np.ndarray]:
    """Logits and offsets of frames by ONNX Runtime, each node by itself: no integer kernels."""
    proto = onnx.ModelProto()
    proto.CopyFrom(graph)
    for name in OUTPUTS:
        proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    session = InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    found = [session.run(list(OUTPUTS), {"frame": frame[None]}) for frame in frames]
    return [np.concatenate(part) for part in zip(*found, strict=True)]


@torch.no_grad()
def in_torch(network: GraphNetwork, frames: np.ndarray) -> list[np.ndarray]:
    return [part.numpy() for part in network(torch.from_numpy(frames))]


BACKBONES = [
    ("mobilenet_v1", "ssdlite"),
    ("mobilenet_v2", "ssd"),
    ("mobilenet_v3_small", "ssdlite"),
    ("mobilenet_v4", "ssdlite"),
    ("xception", "ssdlite"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "head"), BACKBONES)
def test_it_computes_what_the_file_does(tmp_path: Path, backbone: str, head: str) -> None:
    """Of several frames at once, of any size, in float and in int8.

    Sums in another order round another way now and then, and that grows on the way: two settings
    of ONNX Runtime differ as much on one file (docs/int8.md).
    """
    if backbone == "mobilenet_v4":
        pytest.importorskip("timm")
    floats, int8 = graphs(tmp_path, backbone, head)
    for frames in (soft(3), soft(2, 131)):
        wanted = runtime(floats, frames)
        for ours, theirs in zip(
            in_torch(GraphNetwork(floats, floats), frames), wanted, strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
        rounded = runtime(int8, frames)
        found = in_torch(GraphNetwork(int8, floats), frames)
        for ours, theirs, exact in zip(found, rounded, wanted, strict=True):
            moved = np.abs(theirs - exact).mean()
            assert moved > 0
            assert np.abs(ours - theirs).mean() < 0.3 * moved


@pytest.mark.slow
def test_what_is_learned_is_what_the_file_then_computes(tmp_path: Path) -> None:
    floats, int8 = graphs(tmp_path, "mobilenet_v3_small")
    network = GraphNetwork(int8, floats)
    frames = soft(2)
    before = in_torch(network, frames)
    sum(part.square().mean() for part in network(torch.from_numpy(frames))).backward()
    with torch.no_grad():
        for parameter in network.parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0
            parameter -= 0.01 * parameter.grad.sign() * parameter.abs().mean()
    learned = in_torch(network, frames)
    kinds = [node.op_type for node in int8.graph.node]
    network.write_into(int8, floats)
    assert [node.op_type for node in int8.graph.node] == kinds
    for ours, theirs, first in zip(learned, runtime(int8, frames), before, strict=True):
        moved = np.abs(ours - first).mean()
        assert np.abs(ours - theirs).mean() < 0.1 * moved
    for ours, theirs in zip(
        in_torch(GraphNetwork(floats, floats), frames), runtime(floats, frames), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_weights_keep_the_levels_of_the_file() -> None:
    """NNCF gives the first layer 7 bits, against overflow on CPUs without VNNI."""
    floats = float_graph(COCO_FLOAT)
    network = GraphNetwork(onnx.load(COCO_INT8), floats)
    levels = {rounded.latent: rounded.levels for rounded in network.rounded.values()}
    assert levels["model.backbone.stem.conv.weight"] == 64
    assert set(levels.values()) == {64, 127}
    tops = {r.levels: float(r.top.median()) for r in network.rounded.values()}
    assert tops == pytest.approx({64: 63.5, 127: 127}, rel=1e-4)
    assert "model.backbone.blocks.0.depthwise.conv.weight" not in levels


@given(st.integers(0, 1000))
def test_the_largest_weight_of_each_channel_takes_the_last_step(seed: int) -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    weight[2] = 0
    rounded = Rounded("", "", "", 127, torch.full((4,), 127.0), 1e-9)
    whole = torch.round(weight / rounded.scales(weight).view(-1, 1, 1, 1)).flatten(1)
    assert whole.abs().amax(1).tolist() == [127, 127, 0, 127]


def test_a_weight_between_two_steps_goes_where_the_file_has_it() -> None:
    weight = torch.tensor([63.5, -63.5, 12.5, 12.2, -7.0]).view(1, 5, 1, 1)
    for file in ([64, -63, 12, 12, -7], [63, -64, 13, 12, -7]):
        integers = torch.tensor(file, dtype=torch.int8).view(1, 5, 1, 1)
        moved = as_rounded(weight, integers, torch.tensor([1.0]))
        assert moved.round().flatten().tolist() == file
        assert (moved - weight).abs().max() < 0.002


def test_before_it_learns_it_writes_what_it_read() -> None:
    floats, int8 = float_graph(COCO_FLOAT), onnx.load(COCO_INT8)
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in int8.graph.initializer}
    GraphNetwork(int8, floats).write_into(int8, floats)
    for tensor in int8.graph.initializer:
        after = numpy_helper.to_array(tensor)
        assert after.dtype == before[tensor.name].dtype
        np.testing.assert_allclose(after, before[tensor.name], rtol=1e-6, atol=0)


def test_a_node_of_another_kind_is_refused() -> None:
    floats = float_graph(COCO_FLOAT)
    next(node for node in floats.graph.node if node.op_type == "Clip").op_type = "Erf"
    with pytest.raises(DetectorError, match="cannot train a network with Erf"):
        GraphNetwork(floats, floats)
