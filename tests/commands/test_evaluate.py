"""`detector evaluate` from the command line: data, results files, models, stops and comparisons."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.cli import main

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
VAL, REFERENCE = SHARED / "data" / "coco-val-128", SHARED / "reference"
WEIGHTS = ROOT / "detector" / "weights" / "ssdlite_mobilenet_v2_coco.safetensors"
needs_val = pytest.mark.skipif(not VAL.is_dir(), reason="../shared/data/coco-val-128 is absent")


def run(*words):
    with pytest.raises(SystemExit) as done:
        main(["evaluate", *map(str, words)])
    return done.value.code


@pytest.fixture
def data(tmp_path):
    """Ten pictures of 64x48, a cat or a dog in each, with ids that are no row numbers."""
    folder = tmp_path / "pets"
    (folder / "images").mkdir(parents=True)
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
    for n in range(10):
        image = np.full((48, 64, 3), 20 * n, np.uint8)
        (folder / "images" / f"{n}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
        truth["images"].append({"id": 50 - n, "file_name": f"{n}.png", "width": 64, "height": 48})
        box = {"id": n + 1, "image_id": 50 - n, "category_id": 17 + n % 2, "iscrowd": 0}
        truth["annotations"].append({**box, "bbox": [5, 5, 20, 30], "area": 600})
    (folder / "instances.json").write_text(json.dumps(truth))
    return folder


def results(path, shift=0.0, count=10):
    rows = [
        {
            "image_id": 50 - n,
            "category_id": 17 + n % 2,
            "bbox": [5 + shift, 5, 20, 30],
            "score": 0.9,
        }
        for n in range(count)
    ]
    path.write_text(json.dumps(rows))
    return path


def test_somebodys_results_are_judged_and_written(data, tmp_path, capsys):
    out = tmp_path / "out"
    file = results(tmp_path / "r.json")
    assert run("--data", data, "--detections", file, "--out", out) == 0
    said = capsys.readouterr()
    assert "r.json; pets, all: 10 pictures" in said.out
    assert "AP                     100.00" in said.out
    assert "no splits, so all 10 pictures are used" in said.err
    assert {p.name for p in out.iterdir()} == {
        *("metrics.json", "detections.json", "truth.json", "report.html", "figures")
    }
    assert json.loads((out / "metrics.json").read_text())["AP"] == pytest.approx(100)
    written = json.loads((out / "detections.json").read_text())
    assert {row["image_id"] for row in written} == set(range(41, 51))  # the data's own ids
    assert "<html" in (out / "report.html").read_text()


def test_what_was_written_can_be_judged_again_and_compared(data, tmp_path, capsys, monkeypatch):
    for name, nothing in (("figures", {}), ("sections", "")):  # not looked at here, and slow
        monkeypatch.setattr(f"detector.evaluation.page.{name}", lambda *_, empty=nothing: empty)
    for name, shift in (("a", 12.0), ("b", 1.0)):
        file = results(tmp_path / f"{name}.json", shift)
        run("--data", data, "--detections", file, "--out", tmp_path / name)
    assert run("--data", data, "--detections", tmp_path / "b" / "detections.json") == 0
    capsys.readouterr()
    assert run("--compare", tmp_path / "a", tmp_path / "b" / "metrics.json") == 0
    said = capsys.readouterr().out
    assert "better" in said
    assert "2 more classes are in fewer than 10 pictures" in said


def test_an_empty_list_is_ap_0(data, tmp_path, capsys):
    (tmp_path / "r.json").write_text("[]")
    assert run("--data", data, "--detections", tmp_path / "r.json") == 0
    assert "AP                       0.00" in capsys.readouterr().out


def test_boxes_outside_are_counted(data, tmp_path, capsys):
    file = results(tmp_path / "r.json", shift=300)
    assert run("--data", data, "--detections", file) == 0
    said = capsys.readouterr()
    assert "10 detections outside the picture" in said.err
    assert "AP                       0.00" in said.out


def test_a_split_leaves_out_the_results_of_others(data, tmp_path, capsys):
    file = results(tmp_path / "r.json")
    assert run("--data", data, "--split", "val", "--detections", file) == 0
    said = capsys.readouterr()
    assert "left out: 8 detections of pictures or classes outside" in said.err
    assert "pets, val: 2 pictures" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "DATA", "--split", "north"], "no split 'north'; it has train and all"),
        (["--split", "val"], "no --data"),
        (["--data", "nowhere"], "nowhere: no such data card or folder"),
        (["--data", "DATA", "--out", "a/b/c"], "there is no folder"),
        (["--data", "DATA", "--detections", "r.json", "--model", "m.onnx"], "runs no model"),
        (["--data", "DATA", "--detections", "nowhere.json"], r"nowhere\.json: cannot be read"),
        (["--data", "DATA", "--model", "nowhere.ckpt"], r"nowhere\.ckpt: no such checkpoint"),
        (["--data", "DATA", "--model", "x.ckpt", "--precision", "int8"], "torch runs it"),
        (["--data", "DATA", "--model", WEIGHTS, "--vote", "2"], "vote is 2"),
        (["--data", "DATA", "--model", WEIGHTS, "--iou", "-1"], "iou is -1"),
        (["--data", "DATA", "--model", WEIGHTS, "--top-k", "0"], "top_k is 0"),
        (["--compare", "nowhere", "DATA"], "nowhere: no evaluation .*expected a folder"),
        (["--compare", "DATA", "DATA", "--out", "a"], "--compare only prints"),
    ],
)
def test_what_it_refuses(data, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert run(*(str(data) if word == "DATA" else word for word in words)) == 2
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("error")]
    assert re.search(message, line)


def test_no_ground_truth(data, capsys):
    file = data / "instances.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
    assert run("--data", data) == 2
    assert "10 pictures but no ground truth" in capsys.readouterr().err


def test_classes_of_one_side_only_are_said(data, capsys):
    file = data / "instances.json"
    file.write_text(file.read_text().replace('"dog"', '"dodo"'))
    assert run("--data", data, "--precision", "float") == 0
    said = capsys.readouterr().err
    assert "does not know 1 class of the data, which count as never found: dodo" in said
    assert "the data does not have 79 classes of the model" in said


def test_no_class_in_common(data, capsys):
    file = data / "instances.json"
    text = file.read_text().replace('"dog"', '"dodo"').replace('"cat"', '"moa"')
    file.write_text(text)
    assert run("--data", data, "--precision", "float") == 2
    assert "no name in common" in capsys.readouterr().err


@needs_val
@pytest.mark.slow
def test_a_killed_one_goes_on_where_it_was(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "detector", "evaluate", "--data", str(VAL), "--out", str(out)]
    command += ["--precision", "float"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    part = out / "detections.part.jsonl"
    while started.poll() is None and not (part.exists() and part.stat().st_size > 100_000):
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert "went on after" in done.stderr
    assert "AP                      38.69" in done.stdout
    assert not part.exists()


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/reference is absent")
def test_the_reference_detections(capsys):
    file = REFERENCE / "coco_val_128_detections.json"
    assert run("--data", VAL, "--detections", file) == 0
    said = capsys.readouterr().out
    assert "AP                      37.60" in said
    assert "AP large                64.20" in said


def test_two_results_files_are_compared_on_data(data, tmp_path, capsys):
    bad, good = results(tmp_path / "a.json", 12.0), results(tmp_path / "b.json", 1.0)
    assert run("--compare", bad, good, "--data", data) == 0
    said = capsys.readouterr().out
    assert re.search(r"AP50 .* 100\.00 .*better", said)


def test_figures_of_two_training_runs_are_compared_without_an_interval(tmp_path, capsys):
    for name, ap in (("a", 50.0), ("b", 61.5)):
        figures = {"AP": ap, "AP50": 70.0, "classes": [{"name": "cat", "AP": None}]}
        (tmp_path / name).mkdir()
        content = json.dumps({"models": {"model.onnx": figures}})
        (tmp_path / name / "metrics.json").write_text(content)
    assert run("--compare", tmp_path / "a", tmp_path / "b" / "metrics.json") == 0
    said = capsys.readouterr().out
    assert re.search(r"AP +50\.00 +61\.50 +\+11\.50", said)
    assert "1 more figures" in said
    assert "nothing tells progress from chance" in said
