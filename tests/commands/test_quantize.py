"""`detector quantize`: what it refuses, what stays behind, what it writes."""

from pathlib import Path

import pytest
from verbs import exit_of

from detector import metadata
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


@pytest.mark.slow
@pytest.mark.skipif(not RACCOONS.is_dir(), reason="../shared/data/raccoon is absent")
def test_the_embedded_model_on_labelled_pictures(tmp_path, monkeypatch, capsys) -> None:
    """Raccoons, which it takes for one or another animal: calibrated on some, measured on others.

    No layer is put back with a drop that large allowed.
    """
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "cache"))
    stems = (RACCOONS / "train.txt").read_text().split()
    (tmp_path / "train.txt").write_text("\n".join(stems[:24]))
    (tmp_path / "val.txt").write_text("\n".join(stems[24:36]))
    card = tmp_path / "animals.yaml"
    card.write_text(
        f"name: animals\nroot: {RACCOONS}\nclasses: {{rename: {{raccoon: cat}}}}\n"
        f"splits: {{train: {tmp_path}/train.txt, val: {tmp_path}/val.txt}}\n"
    )
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
