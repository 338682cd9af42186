"""Several lists of class names in one data set: each counts for the labels beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.data.check.report import check
from detector.data.formats import read
from detector.errors import DetectorError

ROW = "0 0.5 0.5 0.5 0.5\n"


def names_of(tmp_path: Path, split: str | None = None) -> dict[str, list[str]]:
    """The classes of each picture's boxes."""
    dataset = read(tmp_path, split=split)
    return {e.path.stem: [dataset.class_names[k] for k in e.labels] for e in dataset.examples}


@pytest.mark.parametrize("name", ["classes.txt", "_darknet.labels"])
def test_each_folder_has_its_own_list(tmp_path: Path, picture, text, name: str) -> None:
    """As labelImg writes them, in the order of drawing; and Roboflow's for Darknet."""
    for split, order in (("train", "cat\ndog\n"), ("val", "dog\ncat\nmouse\n")):
        picture(f"images/{split}/{split}.jpg")
        text(f"labels/{split}/{split}.txt", ROW)
        text(f"labels/{split}/{name}", order)
    assert names_of(tmp_path) == {"train": ["cat"], "val": ["dog"]}
    assert names_of(tmp_path, "val") == {"val": ["dog"]}
    dataset = read(tmp_path)
    assert dataset.class_names == ("cat", "dog", "mouse")
    assert dataset.problems == ()


def test_each_data_yaml_names_what_lies_below_it(tmp_path: Path, picture, text) -> None:
    for folder, order in (("a", "[cat, dog]"), ("b", "[dog, cat]")):
        picture(f"{folder}/images/{folder}.jpg")
        text(f"{folder}/labels/{folder}.txt", ROW)
        text(f"{folder}/data.yaml", f"train: images\nval: images\nnames: {order}\n")
    assert names_of(tmp_path, "train") == {"a": ["cat"], "b": ["dog"]}


def test_lists_that_contradict_each_other_are_told(tmp_path: Path, picture, text) -> None:
    picture("images/1.jpg")
    text("labels/1.txt", ROW)
    text("labels/classes.txt", "dog\ncat\n")
    text("classes.txt", "dog\n")  # goes on less far, and says nothing else
    assert read(tmp_path).problems == ()
    text("data.yaml", "names: [cat, dog]\n")
    dataset = read(tmp_path)
    assert names_of(tmp_path) == {"1": ["cat"]}
    assert [(p.kind, str(p)) for p in dataset.problems] == [
        (
            "other-names",
            f"{name}: class 0 is 'cat' in data.yaml and 'dog' in {name}; data.yaml counts "
            "for labels/",
        )
        for name in ("labels/classes.txt", "classes.txt")
    ]
    assert sum(finding.kind == "other-names" for finding in check(tmp_path).findings) == 2


def test_lists_equally_near_that_differ_are_refused(tmp_path: Path, picture, text) -> None:
    picture("images/1.jpg")
    text("labels/1.txt", ROW)
    text("one/classes.txt", "cat\n")
    text("two/classes.txt", "dog\n")
    expected = "class 0 is 'cat' in one/classes.txt and 'dog' in two/classes.txt, and neither is"
    with pytest.raises(DetectorError, match=expected):
        read(tmp_path)
    text("two/classes.txt", "cat\ndog\n")
    assert names_of(tmp_path) == {"1": ["cat"]}


def test_a_blank_line_is_a_class_without_a_name(tmp_path: Path, picture, text) -> None:
    picture("1.jpg")
    text("1.txt", "1 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n")
    text("classes.txt", "cat\n\ndog\n\n")
    assert names_of(tmp_path) == {"1": ["1", "dog"]}
    (problem,) = read(tmp_path).problems
    assert str(problem) == "classes.txt, line 2: is blank, so class 1 has no name; it is called '1'"


def test_a_yaml_far_down_counts(tmp_path: Path, picture, text) -> None:
    picture("a/b/set/train/1.jpg")
    text("a/b/set/train/1.txt", "0 0.5 0.5 0.2 0.2\n")
    text("a/b/set/data.yaml", "names: [no]\n")
    assert read(tmp_path).class_names == ("no",)


def test_a_data_yaml_that_cannot_be_read_is_told(tmp_path: Path, picture, text) -> None:
    picture("1.jpg")
    text("1.txt", "0 0.5 0.5 0.2 0.2\n")
    text("data.yaml", "names: [a]\nnames: [b]\n")
    text("other.yaml", "names: [")
    told = [p for p in read(tmp_path).problems if p.kind == "bad-label-file"]
    assert [p.where for p in told] == ["data.yaml"]
    assert "'names' is given twice" in told[0].message


def test_names_in_lists_of_lists_are_refused_without_writing_them_out(
    tmp_path: Path, picture, text
) -> None:
    picture("1.jpg")
    text("1.txt", "0 0.5 0.5 0.2 0.2\n")
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10 if n else ['x'])}]" for n in range(12)]
    text("data.yaml", "\n".join([*rows, "names: *a11"]))  # 10^11 names, if it were written out
    told = [p.message for p in read(tmp_path).problems if p.kind == "class-names"]
    assert len(told) == 1
    assert "expected a list or a map id: name" in told[0]
    assert len(told[0]) < 200
