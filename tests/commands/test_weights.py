"""`detector export`, `quantize`, `import-tf`: what they refuse, what stays behind."""

import pytest

from detector.cli import main
from detector.predictor import COCO_FLOAT, WEIGHTS


def refused(words, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_quantize_without_pictures(tmp_path, capsys) -> None:
    out = tmp_path / "out.onnx"
    err = refused(["quantize", COCO_FLOAT, "--pictures", tmp_path, "--out", out], capsys)
    assert "no pictures in it" in err
    assert list(tmp_path.iterdir()) == []


def test_export_of_no_weights(tmp_path, capsys) -> None:
    words = ["export", tmp_path / "absent.safetensors", "--out", tmp_path / "out.onnx"]
    assert "no such weights file" in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []


def test_export_to_a_folder_that_is_not_there(tmp_path, capsys) -> None:
    weights = WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors"
    words = ["export", weights, "--out", tmp_path / "nowhere" / "out.onnx"]
    assert "nowhere" in refused(words, capsys)


def test_import_of_a_folder_without_a_graph(tmp_path, capsys) -> None:
    words = ["import-tf", tmp_path, "--pictures", tmp_path, "--out", tmp_path / "w.safetensors"]
    assert "model.json" in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []
