"""YOLO labels: where they lie, what their rows may be, what data.yaml gets wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detector.data.formats import read
from detector.data.yolo import parse_row
from detector.data.yolo_names import load_yaml
from detector.errors import DetectorError


def test_rows() -> None:
    size = (200, 100)
    assert parse_row("1 0.5 0.5 0.5 0.2", size, ("a", "b")).name == "b"
    assert parse_row("0 0.5 0.5 0.5 0.2", size, None).xyxy == pytest.approx((50, 40, 150, 60))
    # A score behind the box, a polygon, a polygon of four points (an oriented box), key points.
    assert parse_row("0 0.5 0.5 0.5 0.2 0.9", size, None).xyxy == pytest.approx((50, 40, 150, 60))
    polygon = parse_row("0 0.1 0.2 0.5 0.1 0.3 0.9", size, None)
    assert polygon.xyxy == pytest.approx((20, 10, 100, 90))
    oriented = parse_row("0 0.1 0.5 0.5 0.1 0.9 0.5 0.5 0.9", size, None)
    assert oriented.xyxy == pytest.approx((20, 10, 180, 90))
    pose = parse_row("0 0.5 0.5 0.5 0.2 0.1 0.1 2 0.2 0.2 2", size, None, keypoints=True)
    assert pose.xyxy == pytest.approx((50, 40, 150, 60))


@pytest.mark.parametrize(
    "row",
    [
        "cat 0.5 0.5 0.1 0.1",
        "0 0.5 0.5 0.1",
        "2 0.5 0.5 0.1 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "0.5 0.5 0.5 0.1 0.1",
        "0 nan 0.5 0.1 0.1",
        "0 320 240 50 60",
        "inf 0.5 0.5 0.1 0.1",
        "0 1 2 3 4 5 6 7 8 9",
        "1e400 0.5 0.5 0.1 0.1",
    ],
)
def test_rows_that_are_none(row: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_row(row, (64, 48), ("a", "b"))


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "-1"])
def test_a_class_that_is_no_number_is_told_so(number: str) -> None:
    with pytest.raises(ValueError, match=f"^class '{number}' is no number 0, 1, ...$"):
        parse_row(f"{number} 0.5 0.5 0.1 0.1", (64, 48), None)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/train/1.jpg", "labels/train/1.txt"),
        ("train/images/1.jpg", "train/labels/1.txt"),
        ("all/1.jpg", "all/1.txt"),
        ("1.jpg", "1.txt"),
        ("JPEGImages/1.jpg", "obj_train_data/1.txt"),
    ],
)
def test_layouts(tmp_path: Path, picture, text, image: str, label: str) -> None:
    expected = picture(image, 64, 48)
    text(label, "\ufeff0 0.5 0.5 0.5 0.5\r\n\r\n1 0.25 0.25 0.5 0.5\r\n")
    text("classes.txt", "mango\r\nxoài\r\n\r\n")
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert dataset.class_names == ("mango", "xoài")
    np.testing.assert_allclose(
        dataset.examples[0].xyxy, [[16, 12, 48, 36], [0, 0, 32, 24]], atol=1e-4
    )
    assert dataset.examples[0].source == label
    assert dataset.problems == ()


def test_same_names_in_two_splits(tmp_path: Path, picture, text) -> None:
    for split, label in (("train", 0), ("val", 1)):
        picture(f"images/{split}/1.jpg")
        text(f"labels/{split}/1.txt", f"{label} 0.5 0.5 0.5 0.5")
    text("data.yaml", "names: {0: a, 1: b}\ntrain: images/train\nval: images/val\n")
    for split, label in (("train", 0), ("val", 1)):
        (example,) = read(tmp_path, split=split).examples
        assert example.path.parent.name == split
        assert example.labels.tolist() == [label]


@pytest.mark.parametrize(
    "train",
    [
        "/Users/Admin/somewhere/set-1/train/images",
        "../train/images",
        r"C:\me\train\images",
        "train/images",
        "./train/images/",
        "[train/images]",
    ],
)
def test_paths_of_somebody_else(tmp_path: Path, picture, text, train: str) -> None:
    expected = picture("train/images/1.jpg")
    text("train/labels/1.txt", "0 0.5 0.5 0.5 0.5")
    picture("valid/images/2.jpg")
    text("valid/labels/2.txt", "0 0.5 0.5 0.5 0.5")
    text("data.yaml", f"names: [a]\nnc: 1\ntrain: {train}\nval: /gone/images\n")
    dataset = read(tmp_path, split="train")
    assert [e.path for e in dataset.examples] == [expected]
    # val is not where data.yaml says: told, and found by its folder.
    assert [e.path.name for e in read(tmp_path, split="val").examples] == ["2.jpg"]
    assert Counter(p.kind for p in dataset.problems) == {"split": 1}


def test_lists_of_paths_as_splits(tmp_path: Path, picture, text) -> None:
    for name in ("1", "2", "3"):
        picture(f"images/{name}.jpg")
        text(f"labels/{name}.txt", "0 0.5 0.5 0.5 0.5")
    text("train.txt", "./images/3.jpg\nC:\\data\\images\\1.jpg\nimages/gone.jpg\n")
    text("data.yaml", "names: [a]\ntrain: train.txt\n")
    dataset = read(tmp_path, split="train")
    assert [e.path.stem for e in dataset.examples] == ["3", "1"]
    assert [p.kind for p in dataset.problems] == ["split-entry"]
    assert str(dataset.problems[0]) == (
        "train.txt, line 3: 'images/gone.jpg' is no picture that was read; left out"
    )


def test_negatives_orphans_and_bad_rows(tmp_path: Path, picture, text) -> None:
    for name in ("full", "empty", "without"):
        picture(f"images/{name}.jpg")
    text("images/broken.jpg", b"no picture")
    text("labels/broken.txt", "0 0.5 0.5 0.5 0.5")
    text("labels/full.txt", "0 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\nx\n")
    text("labels/empty.txt", "")
    text("labels/orphan.txt", "0 0.5 0.5 0.5 0.5")
    text("data.yaml", "names: [a, b]\nnc: 3\n")
    dataset = read(tmp_path)
    assert {e.path.stem: len(e.labels) for e in dataset.examples} == {
        "empty": 0,
        "full": 1,
        "without": 0,
    }
    assert Counter(p.kind for p in dataset.problems) == {
        "bad-box": 2,
        "class-names": 1,
        "label-without-picture": 1,
        "picture-without-label": 1,
        "unreadable-picture": 1,
    }


def test_a_picture_whose_rows_cannot_be_read_is_no_negative(tmp_path: Path, picture, text) -> None:
    for name in ("good", "commas", "binary", "empty"):
        picture(f"{name}.jpg")
    text("good.txt", "\ufeff0 0.5 0.5 0.5 0.5\r\n")
    text("commas.txt", "0,0.5,0.5,0.5,0.5\n")
    text("binary.txt", bytes(range(256)))
    text("empty.txt", "\ufeff\r\n")
    dataset = read(tmp_path)
    assert {e.path.stem: len(e.labels) for e in dataset.examples} == {"good": 1, "empty": 0}
    left_out = {p.path.stem: p for p in dataset.problems if p.kind == "picture-left-out"}
    assert left_out.keys() == {"commas", "binary"}
    assert str(left_out["commas"]) == "commas.jpg: no row of commas.txt can be read; left out"


def test_a_label_file_that_cannot_be_opened(tmp_path: Path, picture, text, monkeypatch) -> None:
    picture("a.jpg")
    picture("b.jpg")
    text("a.txt", "0 0.5 0.5 0.5 0.5")
    locked = text("b.txt", "0 0.5 0.5 0.5 0.5")
    plain = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self == locked:
            raise PermissionError(13, "Permission denied")
        return plain(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    dataset = read(tmp_path)
    assert [e.path.stem for e in dataset.examples] == ["a"]
    found = {p.kind: str(p) for p in dataset.problems}
    assert found["bad-label-file"] == "b.txt: cannot be read (Permission denied)"
    assert "picture-left-out" in found


def test_a_row_file_that_may_mean_two_pictures(tmp_path: Path, picture, text) -> None:
    picture("images/x/1.jpg", seed=1)
    picture("images/y/1.jpg", seed=2)
    picture("images/x/2.jpg", seed=3)
    for name in ("1", "2"):
        text(f"labels/{name}.txt", "0 0.5 0.5 0.5 0.5")
    dataset = read(tmp_path)
    assert [e.path.name for e in dataset.examples] == ["2.jpg"]
    told = Counter(p.message for p in dataset.problems if p.kind == "picture-left-out")
    assert told == {"labels/1.txt may mean 2 different pictures; left out": 2}


def test_labels_mean_images_and_not_masks(tmp_path: Path, picture, text) -> None:
    expected = picture("images/1.jpg", seed=1)
    picture("masks/1.png", seed=2)
    text("labels/1.txt", "0 0.5 0.5 0.5 0.5")
    text("classes.txt", "cat")
    dataset = read(tmp_path)
    assert [(e.path, len(e.labels)) for e in dataset.examples] == [(expected, 1)]
    assert [(p.kind, p.where) for p in dataset.problems] == [("unlisted-picture", "masks/1.png")]


def test_labels_that_are_all_empty(tmp_path: Path, picture, text) -> None:
    """As a labelling tool leaves them before the first box."""
    picture("1.jpg")
    text("1.txt", "")
    assert [len(e.labels) for e in read(tmp_path).examples] == [0]
    text("1.txt", "a photograph of a cat")
    with pytest.raises(DetectorError, match="no labels found"):
        read(tmp_path)


def test_a_picture_called_like_a_list(tmp_path: Path, picture, text) -> None:
    picture("labels/images/val.jpg")
    text("labels/images/val.txt", "0 0.5 0.5 0.5 0.5")
    picture("labels/shots/screen.png")  # in no folder of labelled pictures
    root = tmp_path / "labels"
    dataset = read(root)
    assert [len(e.labels) for e in dataset.examples] == [1]
    told = Counter(p.kind for p in dataset.problems)
    assert told == {"unnamed-classes": 1, "unlisted-picture": 1}


def test_classes_without_names_are_numbers(tmp_path: Path, picture, text) -> None:
    picture("1.jpg")
    text("1.txt", "10 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n")
    dataset = read(tmp_path)
    assert dataset.class_names == ("2", "10")
    assert dataset.examples[0].labels.tolist() == [1, 0]
    assert [p.kind for p in dataset.problems] == ["unnamed-classes"]


@pytest.mark.parametrize(
    "content", ["a: [", "a: &x [*x", "!!python/object:os.x {}", "{[]: 1}", "\0"]
)
def test_yaml_that_is_none(content: str) -> None:
    with pytest.raises(ValueError, match="is not YAML"):
        load_yaml(content)
