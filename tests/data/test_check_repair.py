"""What a repaired copy leaves out is counted, and a copy of no use is called so."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from verbs import exit_of

from detector.data.check.repair import mend_boxes
from detector.data.example import Example
from detector.data.load import load_splits

MakePicture, MakeText = Callable[..., Path], Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, picture: MakePicture, text: MakeText, voc_xml: Callable[..., str]) -> Path:
    """VOC files: train 4 pictures, val 2, a box in each."""
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            picture(f"data/{split}/{split}{i}.jpg")
            text(f"data/{split}/{split}{i}.xml", voc_xml(("cat", 5, 5, 40, 30)))
    return tmp_path / "data"


@pytest.fixture
def fix(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, list[str]]]:
    """fix() -> exit code and lines of a check that writes `fixed`."""

    def run() -> tuple[int, list[str]]:
        code, out, _ = exit_of(["check", data, "--fix", tmp_path / "fixed"], capsys)
        return code, out.splitlines()

    return run


def example(*boxes: tuple[float, ...]) -> Example:
    count = len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Example(Path("a.jpg"), xyxy, np.zeros(count, np.int64), np.zeros(count, bool), None, "")


def test_boxes_that_clipping_makes_one_or_nothing() -> None:
    done: Counter[str] = Counter()
    same = [(100, 100, 400, 200), (100, 100, 600, 200)]
    slivers = [(319.9, 20, 400, 90), (20, -50, 90, 0.5)]
    small = (30, 30, 30.5, 30.5)  # small, but drawn so
    rows, boxes = mend_boxes(example(*same, *slivers, small), (320, 240), done)
    assert rows == [0, 4]
    assert boxes.tolist() == [[100, 100, 320, 200], [30, 30, 30.5, 30.5]]
    assert +done == {
        "boxes clipped to their picture": 4,
        "boxes left out, drawn twice": 1,
        "boxes left out, less than a pixel of them in their picture": 2,
    }
    assert mend_boxes(example(), (320, 240), Counter())[0] == []


def test_what_reading_left_out_is_counted(fix, tmp_path: Path, picture, text, voc_xml) -> None:
    good = ("cat", 5, 5, 40, 30)
    text("data/train/train0.xml", voc_xml(good, ("", 9, 9, 50, 40)))
    text("data/train/train1.xml", voc_xml(good, ("cat", "x", 9, 50, 40), ("cat", 1, 2, 3, "")))
    text("data/train/stray.xml", voc_xml(good))
    picture("data/more/more0.jpg")
    text("data/more/more0.xml", voc_xml(good))
    _, out = fix()
    for line in (
        "      3 labels left out that are no box",
        "      1 label files or rows left out that have no picture",
        "      1 labelled pictures left out that are in no split",
    ):
        assert line in out
    assert "nothing had to be mended" not in "".join(out)
    assert "cannot be trained on" not in "".join(out)
    content = json.loads((tmp_path / "fixed/annotations/instances_train.json").read_text())
    assert len(content["annotations"]) == 4


@pytest.mark.parametrize("fault", ["copies", "cut"])
def test_a_copy_that_cannot_be_trained_on_is_called_so(fix, data: Path, fault: str) -> None:
    empty = "train" if fault == "copies" else "val"
    for path in list((data / empty).glob("*.jpg")):
        if fault == "copies":
            shutil.copy(data / "val" / "val0.jpg", path)
        else:
            path.write_bytes(path.read_bytes()[:-200])
    code, out = fix()
    assert code == 1
    last = out[-1]
    assert last.startswith("this copy cannot be trained on: ")
    assert f"{empty} holds no pictures" in last
    assert "val: 0.2 in a card" in last


def test_names_that_other_systems_cannot_have(
    data: Path,
    tmp_path: Path,
    picture: MakePicture,
    text: MakeText,
    voc_xml: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A backslash, of an archive made on Windows; bytes that are no UTF-8; a suffix of Windows."""
    odd = ["back\\slash", os.fsdecode(b"caf\xe9"), "plain"]
    try:
        for stem in odd:
            picture("p.jpg", seed=len(stem)).rename(data / "train" / f"{stem}.jpg")
            text(f"data/train/{stem}.xml", voc_xml(("cat", 5, 5, 40, 30)))
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    (data / "train" / "plain.jpg").rename(data / "train" / "plain.jfif")
    words = ["--html", tmp_path / "page.html", "--fix", tmp_path / "fixed", "--tiles", 2]
    for options in (words, ["--fix", tmp_path / "whole"]):
        code, _, err = exit_of(["check", data, *options], capsys)
        assert (code, err) == (0, "")
    assert "caf\\udce9.jpg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    copied = load_splits(tmp_path / "whole")["train"]
    assert len(copied.examples) == 7
    assert {"back_slash.jpg", "plain.jfif"} < {e.path.name for e in copied.examples}
