"""`detector train` as a person uses it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from disks import make_read_only
from verbs import exit_of

from detector import metadata
from detector.predictor import Detector
from detector.training.start import load_checkpoint

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
LEFT = (
    *("model.onnx", "model-int8.onnx", "best.ckpt", "last.ckpt", "weights.safetensors"),
    *("metrics.json", "args.yaml", "report.html", "log.csv"),
)


def shapes(folder: Path, count: int) -> Path:
    """A flat YOLO folder of white squares on gray, one each."""
    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text("square\n")
    rng = np.random.default_rng(0)
    for i in range(count):
        image = rng.integers(80, 120, (96, 96, 3), dtype=np.uint8)
        x, y, side = (int(v) for v in rng.integers((5, 5, 20), (40, 40, 50)))
        image[y : y + side, x : x + side] = 250
        (folder / f"{i}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
        values = [(x + side / 2) / 96, (y + side / 2) / 96, side / 96, side / 96]
        (folder / f"{i}.txt").write_text(f"0 {' '.join(f'{v:.5f}' for v in values)}\n")
    return folder


@pytest.fixture
def train(capfd):
    def train(*words):
        code, out, err = exit_of(["train", *words], capfd)
        assert "Traceback" not in err
        return code, out, err

    return train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of some seconds from the embedded weights, as the root script does it."""
    place = tmp_path_factory.mktemp("made")
    data = shapes(place / "squares", 15)
    words = ["--data", data, "--epochs", "12", "--batch", "8", "--size", "96", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, words), "--width", "0.35"],
        cwd=place,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "DETECTOR_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return place / "runs" / "squares", done


@pytest.mark.slow
def test_what_a_run_leaves(made):
    folder, done = made
    for name in LEFT:
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.glob(".*"))
    assert (
        done.stdout.splitlines()[-1] == f"python {ROOT / 'demo.py'} --model runs/squares/model.onnx"
    )
    assert re.search(r"class \d.*box \d.*pictures/s.*left", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_model_files_say_how_good_they_are(made):
    folder, _ = made
    measured = json.loads((folder / "metrics.json").read_text())
    for name, precision in (("model.onnx", "float16"), ("model-int8.onnx", "int8")):
        told = metadata.read(folder / name)
        assert told.class_names == ("square",)
        assert told.input_size == 96
        assert told.precision == precision
        assert float(told.notes["ap"]) == pytest.approx(measured["models"][name]["AP"], abs=0.01)
        assert told.notes["ap_on"] == "squares, 3 val pictures"
    # Of twelve training pictures every fourth is held back, to see what int8 costs.
    notes = metadata.read(folder / "model-int8.onnx").notes
    assert notes["calibrated_on"].startswith("squares, 9 training pictures")


@pytest.mark.slow
def test_the_files_run(made):
    folder, _ = made
    frame = np.full((96, 96, 3), 100, np.uint8)
    frame[20:60, 20:60] = 250
    for name in ("model.onnx", "model-int8.onnx"):
        found = Detector(folder / name, score=0.0001)(frame)
        assert len(found.scores) > 0


@pytest.mark.slow
def test_the_report_needs_nothing_but_itself(made):
    folder, _ = made
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 1
    for text in ("model-int8.onnx", "demo.py --model", "detector train --data"):
        assert text in page
    assert not re.search(r"""(?:src|href)=["']https?://""", page)


@pytest.mark.slow
def test_a_second_run_needs_another_name(made, train):
    folder, _ = made
    data = folder.parents[1] / "squares"
    code, _, err = train("--data", data, "--out", folder.parent)
    assert code == 2
    assert err.splitlines()[-1].startswith(f"error: {folder}: exists already")


@pytest.mark.slow
def test_a_run_starts_from_another(made, train, tmp_path):
    folder, _ = made
    data = folder.parents[1] / "squares"
    words = ("--data", data, "--out", tmp_path, "--epochs", "1", "--size", "96", "--batch", "8")
    still = ("--lr", "1e-12", "--head-lr", "1e-12")  # so that it ends where it began
    code, _, err = train(*words, *still, "--width", "0.35", "--weights", folder / "best.ckpt")
    assert code == 0, err
    files = (folder / "best.ckpt", tmp_path / "squares" / "last.ckpt")
    theirs, mine = (load_checkpoint(path)["state_dict"] for path in files)
    weights = [name for name, tensor in theirs.items() if tensor.dim() == 4]
    assert len(weights) > 50
    for name in weights:
        assert torch.allclose(mine[name], theirs[name], atol=1e-6), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "train: no --data; expected a data card"),
        (("--data", "nowhere.yaml"), "no such data card or folder"),
        (("--resume", "nowhere"), r"no args\.yaml in it; expected the folder of a run"),
    ],
)
def test_bad_words(train, words, message):
    code, out, err = train(*words)
    assert (code, out) == (2, "")
    assert re.search(message, err)
    assert len(err.splitlines()) == 1


def labels_of(folder):
    return sorted(folder.glob("[0-9]*.txt"))


def empty(folder):
    folder.mkdir()


def one_picture(folder):
    shapes(folder, 1)


def no_boxes(folder):
    for path in labels_of(shapes(folder, 4)):
        path.write_text("")


def unreadable_labels(folder):
    for path in labels_of(shapes(folder, 4)):
        path.write_text(path.read_text().replace(" ", ","))
    (folder / "data.yaml").write_text("names: [square]\n")


def unreadable_pictures(folder):
    for path in shapes(folder, 4).glob("*.png"):
        path.write_bytes(path.read_bytes()[:-40])


def val_without_pictures(folder):
    shapes(folder / "train", 4)
    (folder / "val").mkdir()
    (folder / "data.yaml").write_text("names: [square]\ntrain: train\nval: val\n")


def no_class_in_common(folder):
    shapes(folder / "train", 4)
    for path in labels_of(shapes(folder / "val", 2)):
        path.write_text(path.read_text().replace("0 ", "1 ", 1))
    for split in ("train", "val"):
        (folder / split / "classes.txt").unlink()


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (empty, "no labels found (the folder is empty); expected VOC XML"),
        (one_picture, "1 picture cannot be split into train and val; label at least 2"),
        (no_boxes, "the data holds 4 pictures but no boxes to learn from"),
        (unreadable_labels, "the data holds no pictures that can be used (8 problems, the first: "),
        (unreadable_pictures, "none of 3 pictures can be used; the first: "),
        (val_without_pictures, "val holds no pictures at all"),
        (no_class_in_common, "no class has boxes in both train and val"),
    ],
)
def test_data_that_cannot_be_trained_on(train, tmp_path, plant, message):
    plant(tmp_path / "data")
    code, out, err = train("--data", tmp_path / "data", "--out", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err.splitlines()[-1]
    # Nothing was begun, so nothing is in the way of the next try.
    assert not list((tmp_path / "runs").glob("**/*.ckpt"))


def test_a_place_that_cannot_be_written(train, tmp_path, tiny_disk):
    data = shapes(tmp_path / "data", 4)
    (tmp_path / "file").write_text("")
    make_read_only(tiny_disk)
    for place, reason in ((tmp_path / "file" / "x", "not a directory"), (tiny_disk, "read-only")):
        code, _, err = train("--data", data, "--out", place)
        assert code == 2
        assert f"cannot write here ({reason}" in err.splitlines()[-1]


def test_what_is_odd_and_left_out_is_said_in_one_line(train, tmp_path):
    data = shapes(tmp_path / "dữ liệu", 10)
    (data / "0.txt").write_text("nothing to read\n")
    (data / "1.txt").write_bytes(
        b"\xef\xbb\xbf" + (data / "1.txt").read_bytes() + b"\r\n7 1 1 1 1\r\n"
    )
    (data / "2.txt").unlink()
    (tmp_path / "file").write_text("")
    code, _, err = train("--data", data, "--out", tmp_path / "file")
    assert code == 2
    odd, counts, _ = err.splitlines()
    assert odd.startswith("4 problems in the data; left out: 1 picture, 2 boxes; the first: ")
    assert counts == (
        "7 training pictures with 6 boxes, 2 to judge by, drawn at random since the data names no "
        "val; 1 class: square"
    )


def test_resume_takes_no_other_options(train, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    (run / "args.yaml").write_text("data: x\n")
    code, _, err = train("--resume", run, "--batch", "4")
    assert code == 2
    assert "leave out --batch, or start a new run" in err
    code, _, err = train("--resume", run, "--lr", "4")
    assert "leave out --lr" in err
    (run / "args.yaml").write_text("data: x\nbatch: 4\nkin: false\n")
    for words in (["--batch", "16"], ["--kin"]):  # what the default is, but not this run's
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["detector", "train", *words])
            code, _, err = train("--resume", run, *words)
        assert f"leave out {words[0]}" in err
    code, _, err = train("--resume", run, "--batch", "4")
    assert "no such data card or folder" in err  # as it was


def test_overwriting_keeps_the_old_run_until_the_new_one_can_begin(train, tmp_path):
    data, run = shapes(tmp_path / "squares", 10), tmp_path / "runs" / "squares"
    run.mkdir(parents=True)
    (run / "args.yaml").write_text("data: x\n")
    (run / "best.ckpt").write_bytes(b"hours of work")
    for words, said in (
        (("--backbone", "mobilnet_v2"), "mobilnet_v2"),
        (("--backbone", "mobilenet_v1"), "do not fit"),
        (("--weights", run / "best.ckpt", "--size", "300"), "lies in the run that --overwrite"),
        (("--batch", "1", "--width", "0.5"), "batch norms cannot learn from one picture"),
    ):
        code, _, err = train("--data", data, "--out", run.parent, "--overwrite", *words)
        assert code == 2
        assert said in err.splitlines()[-1]
        assert (run / "best.ckpt").read_bytes() == b"hours of work"


def test_help_needs_no_torch():
    code = "import sys; from detector.commands.train import Train; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_raccoons(tmp_path):
    """A short run on real pictures ends with files that find raccoons."""
    if not (SHARED / "raccoon").is_dir():
        pytest.skip("../shared/data/raccoon is absent")
    words = ["--data", str(SHARED / "raccoon"), "--epochs", "3", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    models = json.loads((tmp_path / "raccoon" / "metrics.json").read_text())["models"]
    assert models["model.onnx"]["AP50"] > 60
    assert models["model-int8.onnx"]["AP50"] > 60
    assert models["model.onnx"]["val_pictures"] == 40
