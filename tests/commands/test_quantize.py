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
        (COCO_FLOAT, ["--pictures", "empty", "--no-fine-tune"], "--views: need --data"),
        (COCO_FLOAT, ["--pictures", "empty", "--max-drop", "5"], "--views: need --data"),
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
@pytest.mark.parametrize("asked", [True, False])
def test_what_loses_too_much_is_fine_tuned(tmp_path, monkeypatch, capsys, asked) -> None:
    """Random weights find nothing, so AP is made up: float 50, int8 40, and 5 more each time."""
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "cache"))
    made_up = iter(range(50, 36, -10)), iter(range(45, 60, 5))
    aps = [ap for each in made_up for ap in each]
    monkeypatch.setattr("detector.export.verified.rank", lambda int8, floats, names, trial: names)
    monkeypatch.setattr("detector.export.held.Held.average_precision", lambda *_: aps.pop(0))
    card = few_raccoons(tmp_path, "[raccoon]")
    network = ModelCard(("raccoon",), 0.25, "mobilenet_v1", input_size=96)
    write(tmp_path / "small.onnx", to_onnx(build(network), network, {}))
    words = ["quantize", tmp_path / "small.onnx", "--data", card, "--max-drop", "6"]
    code, shown, said = exit_of(
        [*words, "--views", "32"] if asked else [*words, "--no-fine-tune"], capsys
    )
    assert code == 0
    assert "int8 loses 10.00 AP on 6 training pictures held back, more than 6" in said
    assert ("step 2 of 2" in said) == asked
    notes = metadata.read(tmp_path / "small-int8.onnx").notes
    assert notes["on_held_back"] == "5.00 AP lost, 6 training pictures"
    if asked:
        assert notes["fine_tuned"] == "32 views of training pictures"
        assert notes["kept_in_float"] == ""
        assert "fine-tuned on 32 views, all 62 layers in int8: 5.00 AP lost" in shown
    else:
        assert "fine_tuned" not in notes
        assert "1 of 62 layers kept in float" in shown
    assert "10.00 AP lost without" in shown
