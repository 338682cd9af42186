"""Weights on disk: what comes back, and what is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detector.errors import DetectorError
from detector.model.anchors import ssd_spec
from detector.model.checkpoint import ModelCard, build, images_to_input, load, save

CARD = ModelCard(("quả xoài", "leaf"), 0.25, trained_on="an orchard", licence="CC0", source="tests")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("saved") / "small.safetensors"
    save(path, build(CARD), CARD)
    return path.read_bytes()


@pytest.fixture
def weights(tmp_path: Path, saved: bytes) -> Path:
    """A file of one's own, to damage."""
    path = tmp_path / "small.safetensors"
    path.write_bytes(saved)
    return path


def rewrite(path: Path, card: object = CARD.__dict__, **changes: torch.Tensor | None) -> None:
    """Save the file again with another card, and with tensors replaced, added or (None) removed."""
    tensors = {**load_file(path), **{k.replace("__", "."): v for k, v in changes.items()}}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, path, {"card": json.dumps(card)})


def test_round_trip(weights: Path) -> None:
    torch.manual_seed(0)
    original = build(CARD).eval()
    loaded, card = load(weights)
    assert card == CARD
    assert not loaded.training
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    picture = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(loaded(picture)[0], original(picture)[0], atol=2e-2, rtol=0)


def test_a_file_of_another_network_comes_back(tmp_path: Path) -> None:
    spec = replace(ssd_spec(160), shapes_wh=(((0.1, 0.2), (0.3, 0.1)), *ssd_spec().shapes_wh[1:]))
    card = ModelCard(("a",), 0.25, "mobilenet_v3_small", head="ssd", anchors=spec, input_size=192)
    save(tmp_path / "other.safetensors", build(card), card)
    loaded, read = load(tmp_path / "other.safetensors")
    assert read == card
    assert loaded.anchors == spec
    with torch.no_grad():
        assert loaded(torch.zeros(1, 3, 96, 96))[0].shape[1] == 6 * 6 * 2 + 6 * (9 + 4 + 3)


def test_what_the_first_files_did_not_say_is_written_only_if_it_says_something(
    weights: Path,
) -> None:
    with safe_open(weights, "pt") as file:
        card = json.loads(file.metadata()["card"])
    assert set(card) == {"class_names", "alpha", "backbone", "trained_on", "licence", "source"}


def test_convolutions_round_to_half_and_batch_norms_stay(weights: Path) -> None:
    torch.manual_seed(0)
    original = build(CARD).state_dict()
    loaded = load(weights)[0].state_dict()
    for name, tensor in original.items():
        if tensor.dim() > 1:  # half a unit in the last of float16's 11 bits
            bound = tensor.abs() * 2**-11 + 2**-25
            assert torch.all((loaded[name] - tensor).abs() <= bound), name
        else:
            assert torch.equal(loaded[name], tensor), name


def test_statistics_beyond_float16_survive(tmp_path: Path) -> None:
    model = build(CARD)
    model.backbone.stem.bn.running_var.fill_(1e6)  # float16 ends at 65,504
    save(tmp_path / "wide.safetensors", model, CARD)
    loaded, _ = load(tmp_path / "wide.safetensors")
    assert torch.all(loaded.backbone.stem.bn.running_var == 1e6)


def test_loading_again_and_saving_changes_nothing(weights: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save(again, *load(weights))
    assert again.read_bytes() == weights.read_bytes()


def test_saving_leaves_one_file_or_none(weights: Path, tmp_path: Path) -> None:
    assert [p.name for p in tmp_path.iterdir()] == ["small.safetensors"]
    with pytest.raises(DetectorError, match="there is no folder"):
        save(tmp_path / "nowhere" / "x.safetensors", build(CARD), CARD)
    assert [p.name for p in tmp_path.iterdir()] == ["small.safetensors"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"gone\.safetensors: no such weights file"):
        load(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("length", [0, 4, 100, 20_000, -1])
def test_truncated_file(weights: Path, length: int) -> None:
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(DetectorError, match=r"small\.safetensors: not a whole weights file"):
        load(weights)


def test_foreign_safetensors(weights: Path) -> None:
    save_file({"x": torch.zeros(3)}, weights)
    with pytest.raises(DetectorError, match="it has no card"):
        load(weights)


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, writer: str) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "evil.pt"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
        pickle.loads(path.read_bytes())
    else:
        torch.save({"x": Trap(sprung)}, path)
        torch.load(path, weights_only=False)
    assert sprung.exists()  # the trap works
    sprung.unlink()
    path = path.rename(tmp_path / "evil.safetensors")
    with pytest.raises(DetectorError, match="not a whole weights file"):
        load(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("mango", "no list of class names"),
        ({"alpha": 1.0}, "no list of class names"),
        ({"class_names": "mango"}, "no list of class names"),
        ({"class_names": []}, "no list of class names"),
        ({"class_names": ["a"], "alpha": "wide"}, "width 'wide'"),
        ({"class_names": ["a"], "alpha": -1}, "width -1"),
        ({"class_names": ["a"], "colour": "red"}, "colour"),
        ({"class_names": ["a"], "head": "yolo"}, "head 'yolo', expected ssdlite or ssd"),
        ({"class_names": ["a"], "input_size": -3}, "input size -3"),
        ({"class_names": ["a"], "top_k": 0}, "top_k 0"),
        ({"class_names": ["a"], "vote": -0.5}, "vote -0.5"),
        ({"class_names": ["a"], "anchors": [1]}, "anchors are no table"),
        ({"class_names": ["a"], "anchors": {"native_size": 300}}, "not positive shapes for six"),
        (
            {"class_names": ["a"], "anchors": {"native_size": 9.5, "shapes_wh": [[[1, 1]]] * 6}},
            "native size 9.5",
        ),
        (
            {"class_names": ["a"], "backbone": "resnet"},
            "'resnet' is unknown; expected one of mobilenet_v1, ",
        ),
    ],
)
def test_a_card_that_makes_no_sense(weights: Path, card: object, message: str) -> None:
    rewrite(weights, card)
    with pytest.raises(DetectorError, match=message) as caught:
        load(weights)
    assert str(caught.value).startswith(str(weights))
    assert "\n" not in str(caught.value)


def test_a_card_of_other_classes_names_the_tensor(weights: Path) -> None:
    rewrite(weights, replace(CARD, class_names=("a", "b", "c")).__dict__)
    message = (
        r"width 0\.25, 3 classes\): class_heads\.0\.predict\.bias has shape \(6,\), expected \(9,\)"
    )
    with pytest.raises(DetectorError, match=message):
        load(weights)


def test_missing_and_unknown_tensors(weights: Path) -> None:
    rewrite(weights, backbone__stem__conv__weight=None)
    with pytest.raises(DetectorError, match=r"1 tensors are missing, such as backbone\.stem\.conv"):
        load(weights)
    rewrite(weights, backbone__stem__conv__weight=torch.zeros(8, 3, 3, 3), extra=torch.zeros(1))
    with pytest.raises(DetectorError, match="1 tensors are unknown, such as extra"):
        load(weights)


def test_pixels_become_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    torch.testing.assert_close(images_to_input(pixels).flatten(), torch.tensor([-1, -0.6, 1]))
