"""`detector train` as a person uses it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector import cli, metadata
from detector.predictor import Detector
from detector.training.history import read_curves

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
LEFT = (
    *("model.onnx", "model-int8.onnx", "best.ckpt", "last.ckpt", "weights.safetensors"),
    *("metrics.json", "args.yaml", "report.html", "log.csv"),
)


def shapes(folder: Path, count: int) -> Path:
    """A flat YOLO folder of white squares on gray, one each."""
    folder.mkdir()
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
        with pytest.raises(SystemExit) as exited:
            cli.main(["train", *map(str, words)])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return exited.value.code or 0, out, err

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
    assert done.stdout.splitlines()[-1] == "python demo.py --model runs/squares/model.onnx"
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
    assert (
        metadata.read(folder / "model-int8.onnx").notes["calibrated_on"].startswith("squares, 12")
    )


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
    for text in ("model-int8.onnx", "python demo.py --model", "detector train --data"):
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
    code, _, err = train(*words, "--width", "0.35", "--weights", folder / "best.ckpt")
    assert code == 0, err
    first = read_curves(tmp_path / "squares").losses[0]
    assert sum(first[1:]) < sum(read_curves(folder).losses[0][1:])


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


def test_an_empty_folder(train, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = train("--data", tmp_path / "empty", "--out", tmp_path)
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_one_picture_is_too_few_to_split(train, tmp_path):
    code, _, err = train("--data", shapes(tmp_path / "one", 1), "--out", tmp_path)
    assert code == 2
    assert len(err.splitlines()) == 1


def test_resume_takes_no_other_options(train, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "args.yaml").write_text("data: x\n")
    code, _, err = train("--resume", run, "--batch", "4")
    assert code == 2
    assert "leave out --batch, or start a new run" in err
    code, _, err = train("--resume", run, "--lr", "4")
    assert "leave out --lr" in err


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
