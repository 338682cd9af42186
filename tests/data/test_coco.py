"""COCO json in the dialects of COCO, CVAT, Roboflow and Label Studio."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_json import odd

from detector.data.formats import open_folder, read, read_splits
from detector.errors import DetectorError


def coco(images: list[Any], annotations: list[Any], categories: list[Any] | None = None) -> str:
    known = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    entries = known if categories is None else categories
    return json.dumps({"images": images, "annotations": annotations, "categories": entries})


def image(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 64, "height": 48, **more}


def box(image_id: Any, category: Any, bbox: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category, "bbox": bbox, **more}


def test_boxes_crowd_and_gaps_in_ids(tmp_path: Path, picture, text) -> None:
    picture("images/a.jpg")
    rows = [box(1, 7, [1, 2, 10, 20]), box(1, 3, [1.5, 2, 3, 4], iscrowd=1)]
    text("instances.json", coco([image(1, "a.jpg")], rows))
    dataset = read(tmp_path)
    (example,) = dataset.examples
    assert dataset.class_names == ("cat", "dog")
    assert example.xyxy.tolist() == [[1, 2, 11, 22], [1.5, 2, 4.5, 6]]
    assert example.labels.tolist() == [1, 0]
    assert example.ignore.tolist() == [False, True]
    assert (example.size_wh, example.source) == ((64, 48), "instances.json image 1")
    assert dataset.problems == ()


@pytest.mark.parametrize(
    "name", ["sub/a.jpg", r"sub\a.jpg", r"C:\x\sub\a.jpg", "../data/sub/a.JPG"]
)
def test_file_name_in_folders(tmp_path: Path, picture, text, name: str) -> None:
    expected = picture("images/sub/a.jpg")
    picture("images/other/a.jpg")
    text("annotations/x.json", coco([image(1, name)], [box(1, 3, [1, 2, 3, 4])]))
    assert [e.path for e in read(tmp_path).examples] == [expected]


def test_images_above_the_json_and_the_json_itself(tmp_path: Path, picture, text) -> None:
    picture("images/a.jpg")
    path = text("labels/deep/x.json", coco([image(1, "a.jpg")], [box(1, 3, [1, 2, 3, 4])]))
    for root in (path, path.parent, tmp_path):
        assert len(read(root).examples) == 1


def test_official_layout_has_a_json_for_each_split(tmp_path: Path, picture, text) -> None:
    for split in ("train", "val"):
        picture(f"{split}2017/{split}.jpg")
        content = coco([image(1, f"{split}.jpg")], [box(1, 3, [1, 2, 3, 4])])
        text(f"annotations/instances_{split}2017.json", content)
        text(f"annotations/person_keypoints_{split}2017.json", content)
    assert len(read(tmp_path).examples) == 2
    assert [e.path.name for e in read(tmp_path, split="val").examples] == ["val.jpg"]


def test_roboflow_parent_category_is_left_out(tmp_path: Path, picture, text) -> None:
    picture("train/a.jpg")
    categories = [
        {"id": 0, "name": "fruits", "supercategory": "none"},
        {"id": 1, "name": "mango", "supercategory": "fruits"},
    ]
    content = coco([image(0, "a.jpg")], [box(0, 1, [1, 2, 3, 4])], categories)
    text("train/_annotations.coco.json", content)
    dataset = read(tmp_path, split="train")
    assert dataset.class_names == ("mango",)
    assert dataset.examples[0].labels.tolist() == [0]


def test_bad_entries_are_counted(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    picture("unlisted.jpg")
    rows = [
        box(1, 3, [1, 2, 3, 4]),
        box(1, 99, [1, 2, 3, 4]),
        box(5, 3, [1, 2, 3, 4]),
        box(1, 3, [1, 2, 3]),
        box(1, 3, None),
        box(1, 3, [1, None, 3, 4]),
        box(1, 3, ["x", 2, 3, 4]),
        box(1, 3, [1e300, 2, 3, 4]),
        "nonsense",
    ]
    text("x.json", coco([image(1, "a.jpg"), image(2, "gone.jpg"), None], rows))
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [1]
    counted = Counter(p.kind for p in dataset.problems)
    assert counted == {"bad-box": 8, "label-without-picture": 2, "unlisted-picture": 1}


def test_a_picture_whose_boxes_cannot_be_read_is_no_negative(tmp_path: Path, picture, text) -> None:
    for name in ("good", "bad", "negative"):
        picture(f"{name}.jpg")
    images = [image(1, "good.jpg"), image(2, "bad.jpg"), image(3, "negative.jpg")]
    rows = [box(1, 3, [1, 2, 3, 4]), box(1, 3, None), box(2, 3, None)]
    text("x.json", "\ufeff" + coco(images, rows).replace("{", "\r\n{"))
    dataset = read(tmp_path)
    assert [e.path.stem for e in dataset.examples] == ["good", "negative"]
    left_out = [p for p in dataset.problems if p.kind == "picture-left-out"]
    assert [p.path for p in left_out] == [tmp_path / "bad.jpg"]
    assert {p.kind for p in dataset.problems} == {"bad-box", "picture-left-out"}


def test_a_name_that_fits_two_pictures(tmp_path: Path, picture, text) -> None:
    picture("x/1.jpg", seed=1)
    other = picture("y/1.jpg", seed=2)
    images = [image(1, "1.jpg"), image(2, "y\\1.jpg")]
    text("x.json", coco(images, [box(1, 3, [1, 2, 3, 4]), box(2, 3, [5, 6, 1, 1])]))
    dataset = read(tmp_path)
    assert [(e.path, e.xyxy.tolist()) for e in dataset.examples] == [(other, [[5, 6, 6, 7]])]
    assert Counter(p.kind for p in dataset.problems)["label-without-picture"] == 1
    assert "'1.jpg' fits 2 different pictures; left out" in dataset.problems[0].message


def test_polygons_stand_in_for_a_missing_box(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    row = box(1, 3, [], segmentation=[[1, 2, 30, 2, 30, 40], [5, 1, 6, 7, 8, 9]])
    text("x.json", coco([image(1, "a.jpg")], [row]))
    assert read(tmp_path).examples[0].xyxy.tolist() == [[1, 1, 30, 40]]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"images": []}', "[" * 100_000, "\x00\xff"])
def test_a_file_that_is_no_coco_json(tmp_path: Path, picture, text, content: str) -> None:
    picture("a.jpg")
    text("x.json", content)
    folder = open_folder(tmp_path, "coco")
    with pytest.raises(DetectorError, match=r"x\.json"):
        read_splits(folder, {"train": (tmp_path / "x.json",)})


def test_two_files_that_label_one_picture(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    for name in ("one", "two"):
        text(f"{name}.json", coco([image(1, "a.jpg")], [box(1, 3, [1, 2, 3, 4])]))
    with pytest.raises(DetectorError, match=r"one\.json and two\.json both label a\.jpg"):
        read(tmp_path)


ODD = odd("--1")
KEYS = ["id", "file_name", "width", "height", "image_id", "category_id", "bbox", "iscrowd"]
ENTRY = st.dictionaries(
    st.sampled_from([*KEYS, "segmentation", "name", "supercategory"]), ODD, max_size=6
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=st.tuples(*[st.lists(ENTRY | ODD, max_size=4)] * 3))
def test_any_json_values_give_problems(tmp_path: Path, entries: tuple[list[Any], ...]) -> None:
    (tmp_path / "a.jpg").touch()
    images, annotations, categories = entries
    rows = [*annotations, box(1, 3, [1, 2, 3, 4])]
    content = coco([image(1, "a.jpg"), *images], rows, [{"id": 3, "name": "cat"}, *categories])
    (tmp_path / "x.json").write_text(content, "utf-8", errors="replace")
    dataset = read(tmp_path, "coco")
    assert any(len(example.labels) for example in dataset.examples)
    assert all(np.isfinite(example.xyxy).all() for example in dataset.examples)
