"""`detector import-tf`: what it refuses, what stays behind."""

import pytest

from detector.cli import main


def refused(words, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_import_of_a_folder_without_a_graph(tmp_path, capsys) -> None:
    words = ["import-tf", tmp_path, "--pictures", tmp_path, "--out", tmp_path / "w.safetensors"]
    assert "model.json" in refused(words, capsys)
    assert list(tmp_path.iterdir()) == []
