"""`detector export`: what it writes, what it refuses, what stays behind."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import in_halves, seen_blobs
from verbs import exit_of

from detector import metadata
from detector.model.checkpoint import ModelCard, build, save
from detector.predictor import WEIGHTS, Detector

COCO = WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors"


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} of the export extra is missing")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of a network that has seen blobs, for three classes at 96 pixels."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    card = ModelCard(("a", "b", "quả xoài"), 0.25, input_size=96)
    model = build(card)
    seen_blobs(model, 96, 12)
    in_halves(model)
    save(path, model.eval(), card)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.safetensors", "--out", "a.onnx"], "no such weights file"),
        ([COCO, "--out", "nowhere/a.onnx"], "there is no folder nowhere"),
        ([COCO, "--out", "a.engine"], "no format ends in '.engine'; expected .onnx, .xml"),
        ([COCO, "--out", "a.pt2", "--outputs", "nms"], ".pt2 files cannot have --outputs nms"),
        (["coco", "--out", "a.onnx", "--classes", "persn"], "did you mean 'person'"),
        (["coco", "--out", "a.onnx", "--size", "10"], "expected a whole number from 96 to 1280"),
        (["coco", "--out", "a.onnx", "--data", "nowhere"], "nowhere"),
    ],
)
def test_refusals_take_one_line_and_leave_nothing(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = exit_of(["export", *words], capsys)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_format_without_its_packages(tmp_path, monkeypatch, capsys) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pnnx" else real(name)
    )
    code, _, err = exit_of(["export", COCO, "--out", tmp_path / "a.param"], capsys)
    assert code == 2
    assert "needs the package pnnx; pip install 'mobilenet-ssd[train,export]'" in err


@pytest.mark.slow
def test_the_onnx_file_is_the_one_this_project_runs(small, tmp_path, capsys) -> None:
    out = tmp_path / "small.onnx"
    words = ["export", small, "--out", out, "--classes", "a,quả xoài", "--check"]
    code, said, err = exit_of(words, capsys)
    assert (code, err) == (0, "")
    assert said.startswith("2 of 3 classes: ")
    assert "small.onnx with all classes" in said
    assert said.endswith(f"written: {out}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]
    detector = Detector(out, score=0.0)
    assert detector.class_names == ("a", "quả xoài")
    assert detector.size_hw == (96, 96)
    assert len(detector(np.zeros((90, 120, 3), np.uint8))) > 0


@pytest.mark.slow
@needs("ai_edge_litert", "ncnn", "pnnx")
def test_every_format_agrees_and_says_what_it_is(small, tmp_path, capsys) -> None:
    names = ("m.onnx", "m.xml", "m.pt2", "m.tflite", "m.ncnn.param")
    outs = [tmp_path / name for name in names]
    code, said, err = exit_of(
        ["export", small, "--out", *outs, "--check", "--precision", "float32"], capsys
    )
    assert (code, err) == (0, "")
    assert said.count("written: ") == 5
    expected = sorted([*names, "m.bin", "m.ncnn.bin", "m.ncnn.json"])
    assert sorted(file.name for file in tmp_path.iterdir()) == expected
    names_of = '["a", "b", "quả xoài"]'
    assert metadata.read(tmp_path / "m.onnx").class_names == ("a", "b", "quả xoài")
    assert json.loads((tmp_path / "m.ncnn.json").read_text("utf-8"))["class_names"] == names_of
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n")[:3] == ["a", "b", "quả xoài"]
    extra = {"detector.json": ""}
    torch.export.load(tmp_path / "m.pt2", extra_files=extra)
    assert json.loads(extra["detector.json"])["class_names"] == names_of
    from detector.engine import openvino_core

    info = openvino_core().read_model(tmp_path / "m.xml").get_rt_info(["detector", "class_names"])
    assert info.astype(str) == names_of


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_raw_tensors_for_other_hosts(small, suffix, tmp_path, capsys) -> None:
    if suffix == "tflite":
        pytest.importorskip("ai_edge_litert")
    out = tmp_path / f"m.{suffix}"
    words = ["export", small, "--out", out, "--input", "tensor", "--outputs", "raw"]
    assert exit_of(words, capsys)[0] == 0
    about = json.loads((tmp_path / "m.json").read_text("utf-8"))
    assert len(about["anchors_cxcywh"][0]) == 4
    if suffix == "onnx":  # and this project says that it is not for itself
        code, _, err = exit_of(["detect", "--model", out, "photo.jpg"], capsys)
        assert code == 2
        assert "outputs raw" in err


@pytest.mark.slow
def test_nms_inside(tmp_path, capsys) -> None:
    # Random weights are no use here: of hundreds of like boxes NMS keeps others at any change.
    outs = [tmp_path / "m.onnx", tmp_path / "m.xml"]
    code, said, err = exit_of(["export", "coco", "--out", *outs, "--outputs", "nms"], capsys)
    assert (code, err) == (0, "")
    assert said.count("written: ") == 2
