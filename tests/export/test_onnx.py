"""The model file: what torch computes, at any size, on both engines, and nothing else in it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from networks import in_halves, seen_blobs
from onnx import numpy_helper

from detector import metadata
from detector.engine import ENGINES, load_engine
from detector.errors import DetectorError
from detector.export.onnx import to_onnx, write
from detector.images import read_image
from detector.model.anchors import anchors_cxcywh, ssd_spec
from detector.model.boxes import decode
from detector.model.checkpoint import ModelCard, build, images_to_input, load
from detector.model.ssdlite import SSDLite
from detector.predictor import COCO_FLOAT
from detector.preprocess import to_batch
from detector.training.anchors import fit_anchors

WEIGHTS = COCO_FLOAT.with_suffix(".safetensors")
PHOTOS = Path(__file__).parents[2].parent / "shared" / "data" / "photos"
SMALL = ModelCard(
    ("ripe", "quả xoài"), 0.25, trained_on="an orchard", licence="CC0", source="tests"
)

pytestmark = pytest.mark.slow  # torch takes seconds to trace a network
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")


@pytest.fixture(scope="module")
def coco() -> SSDLite:
    return load(WEIGHTS)[0]


@pytest.fixture(scope="module")
def small_model() -> SSDLite:
    """Random weights, and batch norms with statistics and gains of their own to be fused."""
    torch.manual_seed(0)
    model = build(SMALL)
    for head in model.class_heads:
        torch.nn.init.normal_(head.predict.weight, std=0.1)  # scores that differ between pixels
    seen_blobs(model, 192, 20, times=2)
    in_halves(model)
    return model


@pytest.fixture(scope="module")
def before_export(small_model: SSDLite) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in small_model.state_dict().items()}


@pytest.fixture(scope="module")
def small(small_model: SSDLite, before_export: dict[str, torch.Tensor]) -> onnx.ModelProto:
    assert before_export  # taken first
    return to_onnx(small_model, SMALL, {"mAP": "0.0"})


def by_torch(model: SSDLite, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """boxes (A, 4), scores (A, K) of a uint8 BGR batch (1, H, W, 3)."""
    rgb = torch.from_numpy(np.ascontiguousarray(batch[..., ::-1])).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits, offsets = copy.deepcopy(model).eval()(images_to_input(rgb))
    boxes = decode(offsets, anchors_cxcywh(model.anchors, batch.shape[1:3]))
    return boxes[0].numpy(), logits.sigmoid()[0].numpy()


def check_parity(
    path: Path,
    model: SSDLite,
    size_hw: tuple[int, int],
    frames: list[np.ndarray],
    atol: float = 1e-3,
) -> float:
    """Asserts that the file on both engines and torch agree; the best score there was."""
    best = 0.0
    engines = {
        name: load_engine(path, size_hw, name=name, threads=1, streams=1) for name in ENGINES
    }
    for frame in frames:
        batch = to_batch(frame, size_hw)
        torch_boxes, torch_scores = by_torch(model, batch)
        best = max(best, float(torch_scores.max()))
        for name, engine in engines.items():
            boxes, scores = engine.infer(batch)
            np.testing.assert_allclose(boxes, torch_boxes, atol=atol, rtol=0, err_msg=name)
            np.testing.assert_allclose(scores, torch_scores, atol=atol, rtol=0, err_msg=name)
    return best


@needs_photos
@pytest.mark.parametrize(
    "size_hw",
    [
        (300, 300),
        (97, 640),
        (96, 96),
        (160, 160),
        (301, 512),
        (384, 384),
    ],
)
def test_the_embedded_file_computes_what_torch_does(
    coco: SSDLite, size_hw: tuple[int, int]
) -> None:
    photos = [read_image(str(PHOTOS / name)) for name in ("dog.jpg", "kite.jpg", "horses.jpg")]
    best = check_parity(COCO_FLOAT, coco, size_hw, photos)
    assert best > 0.3  # there was something to agree on


def test_a_trained_network_is_exported_at_any_size(
    small_model: SSDLite, small: onnx.ModelProto, tmp_path: Path
) -> None:
    write(tmp_path / "small.onnx", small)
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    frame[..., 0] //= 4
    for size_hw in [(160, 160), (129, 224)]:
        batch = to_batch(frame, size_hw)
        scores = by_torch(small_model, batch)[1]
        swapped = by_torch(small_model, np.ascontiguousarray(batch[..., ::-1]))[1]
        assert np.abs(scores - swapped).max() > 0.05  # it can tell blue from red
        # Random weights carry float32's rounding further than trained ones do (2e-3 was seen).
        check_parity(tmp_path / "small.onnx", small_model, size_hw, [frame], atol=1e-2)


def test_exporting_leaves_the_network_as_it_was(
    small_model: SSDLite, before_export: dict[str, torch.Tensor], small: onnx.ModelProto
) -> None:
    assert small.graph.node
    assert small_model.training
    after = small_model.state_dict()
    assert before_export.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before_export.items())


def nodes_and_weights(proto: onnx.ModelProto) -> list[object]:
    """Everything a graph computes, free of the names that exporters give to tensors."""
    numbers: dict[str, int] = {}

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    facts: list[object] = []
    for node in proto.graph.node:
        attributes = sorted(
            (a.name, str(onnx.helper.get_attribute_value(a))) for a in node.attribute
        )
        tensors = ([number(x) for x in node.input], [number(x) for x in node.output])
        facts.append((node.op_type, attributes, tensors))
    for tensor in proto.graph.initializer:
        value = numpy_helper.to_array(tensor)
        facts.append((number(tensor.name), value.dtype, value.shape, value.tobytes()))
    return facts


def test_a_new_export_equals_the_embedded_file() -> None:
    embedded = onnx.load(COCO_FLOAT)
    model, card = load(WEIGHTS)
    again = to_onnx(model, card, {})
    assert len(embedded.graph.node) > 300
    for ours, theirs in zip(nodes_and_weights(again), nodes_and_weights(embedded), strict=True):
        assert ours == theirs
    assert [i.SerializeToString() for i in again.graph.input] == [
        i.SerializeToString() for i in embedded.graph.input
    ]
    assert {p.key: p.value for p in again.metadata_props} == {
        p.key: p.value for p in embedded.metadata_props
    }


def test_convolutions_pad_by_rule_and_not_by_number(small: onnx.ModelProto) -> None:
    convs = [node for node in small.graph.node if node.op_type == "Conv"]
    assert len(convs) == 1 + 50 + 1 + 12 + 24  # stem, blocks, last, extras, predictors
    for node in convs:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes["auto_pad"] == b"SAME_UPPER"
        assert "pads" not in attributes


def test_batch_norms_are_gone_and_only_convolutions_are_halves(small: onnx.ModelProto) -> None:
    kinds = {node.op_type for node in small.graph.node}
    assert "Conv" in kinds
    assert "BatchNormalization" not in kinds
    stored = {t.name: t.data_type for t in small.graph.initializer}
    halves = {name for name, kind in stored.items() if kind == onnx.TensorProto.FLOAT16}
    casts = {n.input[0]: n.output[0] for n in small.graph.node if n.op_type == "Cast"}
    weights = {node.input[1] for node in small.graph.node if node.op_type == "Conv"}
    assert {casts[name] for name in halves} == weights


def test_fitted_anchors_are_in_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (400, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.02, 0.5, (400, 2))], axis=1)
    fitted = fit_anchors(ssd_spec(), boxes.astype(np.float32), 96)
    assert fitted.shapes_wh[0] != ssd_spec().shapes_wh[0]
    torch.manual_seed(0)
    card = ModelCard(("a", "b"), 0.35, anchors=fitted, input_size=96)
    model = build(card).eval()
    write(tmp_path / "fitted.onnx", to_onnx(model, card, {}))
    frames = [rng.integers(0, 255, (80, 120, 3), dtype=np.uint8) for _ in range(2)]
    check_parity(tmp_path / "fitted.onnx", model, (96, 96), frames)


def test_the_file_says_what_it_is(small: onnx.ModelProto, tmp_path: Path) -> None:
    write(tmp_path / "small.onnx", small)
    read = metadata.read(tmp_path / "small.onnx")
    assert read.class_names == SMALL.class_names
    assert read.input_size == 300
    assert read.precision == "float16"
    assert read.notes["trained_on"] == "an orchard"
    assert read.notes["licence"] == "CC0"
    assert read.notes["alpha"] == "0.25"
    assert read.notes["mAP"] == "0.0"


def test_the_file_tells_nothing_of_this_machine(small: onnx.ModelProto) -> None:
    data = small.SerializeToString()
    for word in (str(Path(torch.__file__).parents[1]), str(Path.cwd()), "Traceback", "stack_trace"):
        assert word.encode() not in data


def test_sides_are_free_and_named(small: onnx.ModelProto) -> None:
    dims = small.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == [1, "height", "width", 3]
    assert [o.name for o in small.graph.output] == ["boxes", "scores"]


def test_writing_to_nowhere_leaves_nothing(small: onnx.ModelProto, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="there is no folder"):
        write(tmp_path / "nowhere" / "small.onnx", small)
    with pytest.raises(DetectorError, match="this is a folder"):
        write(tmp_path, small)
    assert list(tmp_path.iterdir()) == []
