"""`detector quantize`: what it refuses, what stays behind, what it writes."""

from pathlib import Path

import pytest
from verbs import exit_of

from detector import metadata
from detector.export.onnx import to_onnx, write
from detector.model.checkpoint import ModelCard, build
from detector.predictor import COCO_FLOAT, COCO_INT8

RACCOONS = Path(__file__).parents[2].parent / "shared" / "data" / "raccoon"


def refused(words, capsys) -> str:
    code, _, err = exit_of(["quantize", *words], capsys)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("model", "words", "complaint"),
    [
        (COCO_FLOAT, [], "expected either --data"),
        (COCO_FLOAT, ["--data", "a.yaml", "--pictures", "b"], "expected either --data"),
        (COCO_FLOAT, ["--pictures", "empty"], "no pictures in it"),
        (COCO_FLOAT, ["--data", "absent.yaml"], "absent.yaml: no such data card"),
        (COCO_FLOAT, ["--data", "empty", "--max-drop", "-1"], "--max-drop -1: expected points"),
        (COCO_FLOAT, ["--data", "empty", "--max-drop", "nan"], "--max-drop nan: expected points"),
        (COCO_FLOAT, ["--data", "empty", "--views", "0"], "--views 0: expected 1 or more"),
        (COCO_FLOAT, ["--pictures", "empty", "--fine-tune"], "--fine-tune: needs --data"),
        (COCO_INT8, ["--data", "empty"], "is int8 already"),
        ("absent.onnx", ["--data", "empty"], "no such model file"),
        (COCO_FLOAT, ["--data", "empty", "--out", "no/where.onnx"], "there is no folder"),
        (COCO_FLOAT, ["--data", "empty", "--out", COCO_FLOAT], "is the model itself"),
    ],
)
def test_refusals_leave_nothing(model, words, complaint, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    if "--out" not in words:
        words = [*words, "--out", "out.onnx"]
    assert complaint in refused([model, *words], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def few_raccoons(folder: Path, classes: str) -> Path:
    """A data card of 24 pictures to train on and 12 to judge by."""
    stems = (RACCOONS / "train.txt").read_text().split()
    (folder / "train.txt").write_text("\n".join(stems[:24]))
    (folder / "val.txt").write_text("\n".join(stems[24:36]))
    card = folder / "animals.yaml"
    card.write_text(
        f"name: animals\nroot: {RACCOONS}\nclasses: {classes}\n"
        f"splits: {{train: {folder}/train.txt, val: {folder}/val.txt}}\n"
    )
    return card


@pytest.mark.slow
@pytest.mark.skipif(not RACCOONS.is_dir(), reason="../shared/data/raccoon is absent")
def test_the_embedded_model_on_labelled_pictures(tmp_path, monkeypatch, capsys) -> None:
    """Raccoons, which it takes for one or another animal: calibrated on some, measured on others.

    No layer is put back with a drop that large allowed.
    """
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "cache"))
    card = few_raccoons(tmp_path, "{rename: {raccoon: cat}}")
    out = tmp_path / "made.onnx"
    words = ["quantize", COCO_FLOAT, "--data", card, "--out", out, "--max-drop", "50"]
    code, shown, _ = exit_of(words, capsys)
    assert code == 0
    notes = metadata.read(out).notes
    assert notes["kept_in_float"] == ""
    assert notes["calibrated_on"] == "animals, 18 training pictures"
    assert notes["ap_on"] == "animals, 12 val pictures"
    assert f"{float(notes['ap']):.2f}" in shown
    assert f"{float(notes['float_ap']):.2f}" in shown
    assert notes["on_held_back"].endswith("6 training pictures")
    assert out.stat().st_size < 0.6 * COCO_FLOAT.stat().st_size


@pytest.mark.slow
@pytest.mark.skipif(not RACCOONS.is_dir(), reason="../shared/data/raccoon is absent")
def test_fine_tuning_that_brings_nothing_is_not_written(tmp_path, monkeypatch, capsys) -> None:
    """A network of random weights finds nothing before and after; both are as far from float."""
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("detector.export.verified.drift", lambda wanted, given: 0.25)
    card = few_raccoons(tmp_path, "[raccoon]")
    network = ModelCard(("raccoon",), 0.25, "mobilenet_v1", input_size=96)
    write(tmp_path / "small.onnx", to_onnx(build(network), network, {}))
    words = ["quantize", tmp_path / "small.onnx", "--data", card, "--fine-tune", "--views", "32"]
    code, shown, said = exit_of(words, capsys)
    assert code == 0
    assert "step 2 of 2" in said
    assert "0.250 from float there, fine-tuned 0.250" in shown
    assert "fine_tuned" not in metadata.read(tmp_path / "small-int8.onnx").notes
