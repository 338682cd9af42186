"""`detector detect` as a person uses it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from verbs import exit_of

from detector import metadata
from detector.commands.detect import peak_memory
from detector.commands.options import split_names
from detector.predictor import COCO_FLOAT, COCO_INT8

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A real picture: the first frame of the sample clip."""
    video = cv2.VideoCapture(str(ROOT / "detector" / "assets" / "sample.mp4"))
    path = tmp_path_factory.mktemp("photos") / "xoài 1.png"
    cv2.imencode(".png", video.read()[1])[1].tofile(path)
    video.release()
    return path


@pytest.fixture
def detect(capfd):
    def detect(*words):
        code, out, err = exit_of(["detect", *words], capfd)
        assert "Traceback" not in err
        return code, out, err

    return detect


def test_the_table(detect, photo):
    code, out, err = detect(photo)
    assert code == 0
    heading, *rows = out.splitlines()
    assert heading.split() == ["picture", "class", "score", "left", "top", "right", "bottom"]
    assert rows
    for row in rows:
        assert re.fullmatch(re.escape(str(photo)) + r"  [a-z ]+ +\d+\.\d%( +\d+){4}", row)
    assert any(" person " in row for row in rows)
    assert re.search(r"1 picture, \d+ found, \d+\.\d ms a picture", err)
    assert re.search(r"loaded in \d+\.\d\d s \((compiled|from cache)\)", err)


def test_what_it_took_names_the_cache(detect, photo):
    detect(photo)
    _, _, err = detect(photo)
    assert "(from cache)" in err
    if sys.platform != "win32":
        assert re.search(r"peak memory \d+ MB", err)


def test_json(detect, photo, tmp_path):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((20, 30, 3), np.uint8))
    code, out, _ = detect("--json", photo, tmp_path / "black.png")
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert first["path"] == str(photo)
    assert "person" in [found["class"] for found in first["detections"]]
    assert (second["width"], second["height"], second["detections"]) == (30, 20, [])


def test_the_limit_of_objects_is_said_where_it_may_hide_some(detect, photo):
    assert "--top-k" not in detect(photo)[2]
    code, out, err = detect(photo, photo, "--top-k", "1")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "2 pictures with as many objects as --top-k 1 allows: a larger one may show more" in err


def test_boxes_vote_unless_told_not_to(detect, photo):
    default, still, voted = (
        detect(photo, "--score", "0.3", "--precision", "float", *words)[1].splitlines()
        for words in ([], ["--vote", "0"], ["--vote", "0.05"])
    )
    assert default == voted != still
    best, own = (float(rows[1].split()[-5].rstrip("%")) for rows in (default, still))
    assert 0.8 * own < best < own, "no two anchors quite agree"


def test_nothing_found_is_said(detect, tmp_path):
    path = tmp_path / "black.png"
    cv2.imwrite(str(path), np.zeros((200, 300, 3), np.uint8))
    code, out, _ = detect(path)
    assert code == 0
    assert out.splitlines()[1:] == [f"{path}  -"]


def test_the_unreadable_are_counted_and_the_rest_done(detect, photo, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture at all, but text\n" * 9)
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:2000])
    code, out, err = detect(
        tmp_path / "none.jpg", photo, tmp_path / "text.jpg", tmp_path / "cut.png"
    )
    assert code == 2
    assert len(out.splitlines()) > 1
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [Path(line.split(": ")[1]).name for line in errors] == [
        "none.jpg",
        "text.jpg",
        "cut.png",
    ]
    assert "3 of 4 pictures could not be read" in err


def test_no_picture_named(detect):
    code, out, said = detect()
    assert (code, out) == (2, "")
    assert said.startswith("error: detect: no picture named; expected one or more files, in front")
    # What a user meant as a picture has become a size.
    assert detect("--scales", "300,512", "dog.jpg")[::2] == (2, said)


@pytest.mark.parametrize("words", [["person", "cat"], ["person,cat"], ["person,", "cat"]])
def test_classes(detect, photo, words):
    code, out, _ = detect(photo, "--json", "--score", "0.05", "--classes", *words)
    assert code == 0
    assert {f["class"] for f in json.loads(out)["detections"]} <= {"person", "cat"}
    assert "person" in out


def test_split_names():
    assert split_names(("traffic light, cat",)) == ["traffic light", "cat"]
    assert split_names(("a,b", "c", " ,")) == ["a", "b", "c"]
    assert split_names(()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--classes", "persn"], "class 'persn' is unknown to this model; did you mean 'person'?"),
        (["--score", "1.5"], "score is 1.5; expected a number from 0 to 1"),
        (["--score", "nan"], "score is nan"),
        (["--iou", "-1"], "iou is -1.0"),
        (["--top-k", "0"], "top_k is 0"),
        (["--size", "20"], "size is 20; expected a whole number from 96 to 1280"),
        (["--threads", "-2"], "threads is -2"),
        (["--save", "/proc/none/here"], "--save /proc/none/here"),
    ],
)
def test_options_that_make_no_sense(detect, photo, words, said):
    code, out, err = detect(photo, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_save(detect, photo, tmp_path):
    folder = tmp_path / "out"
    code, _, _ = detect(photo, photo, "--save", folder)
    assert code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["xoài 1.png", "xoài 1_2.png"]
    drawn = cv2.imdecode(np.fromfile(folder / "xoài 1.png", np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.fromfile(photo, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()


def test_saving_nothing_leaves_no_folder(detect, tmp_path):
    code, _, _ = detect(tmp_path / "none.jpg", "--save", tmp_path / "out")
    assert code == 2
    assert not (tmp_path / "out").exists()


def foreign():
    """A file with an ONNX graph and no metadata: ours, with the key of it damaged."""
    return COCO_FLOAT.read_bytes().replace(b"detector/1", b"somebody/7"[:10])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"this is a text, not a model\n" * 20, "not a whole ONNX file"),
        (COCO_INT8.read_bytes()[:2_000_000], "not a whole ONNX file (cut off"),
        (COCO_INT8.read_bytes()[:-4000], "onnx: "),
        (foreign(), "an ONNX file without this project's metadata"),
        (COCO_FLOAT.read_bytes().replace(b'["person"', b'[[person"', 1), "metadata is damaged"),
        (COCO_FLOAT.read_bytes().replace(b"Conv", b"Cnov"), "openvino cannot run it"),
    ],
    ids=["empty", "text", "half", "no end", "foreign", "names", "graph"],
)
def test_model_files_that_are_none(detect, photo, tmp_path, content, said):
    path = tmp_path / "mango.onnx"
    path.write_bytes(content)
    code, out, err = detect(photo, "--model", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path}: ")
    assert said in err
    assert err.count("\n") == 1


def test_model_places_that_are_none(detect, photo, tmp_path):
    code, _, err = detect(photo, "--model", tmp_path)
    assert (code, err) == (2, f"error: {tmp_path}: is a folder; expected a model file (.onnx)\n")
    code, _, err = detect(photo, "--model", tmp_path / "none.onnx")
    assert code == 2
    assert "no such model file" in err


def test_a_model_file_of_ones_own(detect, photo, tmp_path):
    path = tmp_path / "xoài.onnx"
    path.write_bytes(COCO_FLOAT.read_bytes().replace(b'"person"', b'"Person"', 1))
    assert metadata.read(path).class_names[0] == "Person"
    code, out, err = detect(photo, "--model", path)
    assert code == 0
    assert " Person " in out
    assert "xoài.onnx at 300 px" in err


def test_help_is_tidy(detect):
    code, out, _ = detect("--help")
    assert code == 0
    assert "model options" in out
    assert "{None}" not in out


def test_from_a_shell(photo, tmp_path):
    """The whole of it in a process of its own: results on stdout, all else on stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "detector", "detect", str(photo), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0
    assert json.loads(result.stdout)["path"] == str(photo)
    assert len(result.stderr.splitlines()) == 2


def test_peak_memory(tmp_path):
    (tmp_path / "status").write_text("VmPeak:\t 9000000 kB\nVmHWM:\t  200000 kB\n")
    assert peak_memory(tmp_path / "status") == ", peak memory 205 MB"
    if sys.platform != "win32":
        assert re.fullmatch(r", peak memory \d+ MB", peak_memory(tmp_path / "none"))
