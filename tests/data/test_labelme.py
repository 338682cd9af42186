"""LabelMe json as LabelMe, X-AnyLabeling and converters write it."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_json import odd

from detector.data.account import account
from detector.data.check.report import check
from detector.data.formats import read
from detector.data.load import load_splits


def shape(points: Any, kind: Any = "rectangle", label: Any = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


def labelme(*shapes: Any, image: Any = "a.jpg", size: Any = (64, 48), data: Any = None) -> str:
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": data,
        "imageHeight": size[1],
        "imageWidth": size[0],
    }
    return json.dumps(content, ensure_ascii=False)


def kinds(dataset) -> Counter:
    return Counter(problem.kind for problem in dataset.problems)


def test_a_rectangle_beside_its_picture(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("a.json", labelme(shape([[1, 2], [30.5, 40]])))
    dataset = read(tmp_path)
    (example,) = dataset.examples
    assert example.xyxy.dtype == np.float32
    assert example.xyxy.tolist() == [[1, 2, 30.5, 40]]
    assert (example.size_wh, example.source) == ((64, 48), "a.json")
    assert (dataset.class_names, dataset.problems) == (("cat",), ())


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("rectangle", [[30, 2], [1, 40]], [1, 2, 30, 40]),
        ("rectangle", [[1, 2], [30, 2], [30, 40], [1, 40]], [1, 2, 30, 40]),
        ("polygon", [[10, 2], [30, 20], [5, 40]], [5, 2, 30, 40]),
        (None, [[10, 2], [30, 20], [5, 40]], [5, 2, 30, 40]),
        ("circle", [[20, 20], [23, 24]], [15, 15, 25, 25]),
        ("linestrip", [[5, 6], [1, 9], [8, 2]], [1, 2, 8, 9]),
        ("oriented_rectangle", [[10, 0], [20, 10], [10, 20], [0, 10]], [0, 0, 20, 20]),
        ("rotation", [[10, 0], [20, 10], [10, 20], [0, 10]], [0, 0, 20, 20]),
        ("mask", [[3, 4], [10, 12]], [3, 4, 11, 13]),
        ("mask", [[3.5, 4], [10.5, 12]], [3.5, 4, 10.5, 12]),
    ],
)
def test_shapes_become_the_boxes_around_them(
    tmp_path: Path, picture, text, kind: str | None, points: Any, expected: list[float]
) -> None:
    picture("a.jpg")
    text("a.json", labelme(shape(points, kind)))
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy.tolist() == [expected]
    assert kinds(dataset) == ({} if kind == "rectangle" else {"other-shape": 1})


def test_what_is_no_rectangle_is_counted_and_told(tmp_path: Path, picture, text) -> None:
    three = [[10, 2], [30, 20], [5, 40]]
    for name in ("a", "b", "c", "d"):
        picture(f"{name}.jpg", width=80)
        shapes = [
            shape(three, "polygon"),
            shape([[1, 2], [9, 9]]),
            shape([[4, 4], [4, 9]], "circle"),
        ]
        text(f"{name}.json", labelme(*shapes, image=f"{name}.jpg", size=(80, 48)))
    splits = load_splits(tmp_path)
    told = "4 circles, 4 polygons: used as the upright boxes around them"
    assert told in account(splits["train"], splits["val"])[0]
    found = [f for f in check(tmp_path).findings if f.kind == "other-shape"]
    assert [(f.severity, f.message) for f in found] == [("note", told)]


@pytest.mark.parametrize(
    "name",
    ["a.jpg", r"..\images\a.jpg", r"C:\Users\me\a.jpg", "/home/gone/a.jpg", "../images/a.jpg"],
)
def test_the_picture_may_lie_elsewhere(tmp_path: Path, picture, text, name: str) -> None:
    expected = picture("images/a.jpg")
    text("labels/0001.json", labelme(shape([[1, 2], [3, 4]]), image=name))
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert dataset.problems == ()


def test_the_stem_wins_over_another_picture_named(tmp_path: Path, picture, text) -> None:
    expected = picture("a.jpg")
    picture("b.jpg")
    text("a.json", labelme(shape([[1, 2], [3, 4]]), image="b.jpg"))
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples if len(e.labels)] == [expected]
    assert kinds(dataset) == {"wrong-filename": 1, "picture-without-label": 1}


def test_two_files_of_one_picture_and_one_of_none(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("a.json", labelme(shape([[1, 2], [3, 4]])))
    text("copy.json", labelme(shape([[5, 6], [7, 8]])))
    text("gone.json", labelme(shape([[5, 6], [7, 8]]), image="gone.jpg"))
    dataset = read(tmp_path)
    assert [e.xyxy.tolist() for e in dataset.examples] == [[[1, 2, 3, 4]]]
    assert kinds(dataset) == {"duplicate-picture": 1, "label-without-picture": 1}


def test_same_names_in_two_folders_stay_apart(tmp_path: Path, picture, text) -> None:
    for folder, x in (("train", 5), ("val", 7)):
        picture(f"{folder}/1.jpg")
        text(f"{folder}/1.json", labelme(shape([[x, 2], [30, 40]]), image="1.jpg"))
    assert [e.xyxy[0, 0] for e in read(tmp_path).examples] == [5, 7]
    for split, x in (("train", 5), ("val", 7)):
        (example,) = read(tmp_path, split=split).examples
        assert (example.path.parent.name, example.xyxy[0, 0]) == (split, x)


def test_lists_choose(tmp_path: Path, picture, text) -> None:
    for name in ("a", "b", "c"):
        picture(f"{name}.jpg")
        text(f"{name}.json", labelme(shape([[1, 2], [3, 4]]), image=f"{name}.jpg"))
    text("train.txt", "a.jpg\nc\n")
    text("val.txt", "b.jpg\n")
    assert [e.path.stem for e in read(tmp_path, split="train").examples] == ["a", "c"]
    assert [e.path.stem for e in read(tmp_path, split="val").examples] == ["b"]


@pytest.mark.parametrize("more", [{"flags": {"difficult": True}}, {"difficult": True}])
def test_marks_for_boxes_neither_wanted_nor_wrong(tmp_path: Path, picture, text, more) -> None:
    picture("a.jpg")
    plain = shape([[1, 2], [3, 4]], flags={"difficult": False, "occluded": True}, difficult=False)
    text("a.json", labelme(shape([[1, 2], [3, 4]], **more), plain, shape([[1, 2], [3, 4]])))
    assert read(tmp_path).examples[0].ignore.tolist() == [True, False, False]


def test_bad_shapes_are_left_out_and_told(tmp_path: Path, picture, text) -> None:
    for name in ("a", "b", "c"):
        picture(f"{name}.jpg")
    inf, nan = float("inf"), float("nan")
    bad = [
        shape([[1, 2]]),
        shape([]),
        shape(None),
        shape({"x": 1}),
        shape([[1, 2, 3], [4, 5, 6]]),
        shape([["1", "2"], ["3", "4"]]),
        shape([[nan, 2], [3, 4]]),
        shape([[1, 2], [5, nan], [3, 4]], "polygon"),
        shape([[1, inf], [3, 4]]),
        shape([[1, 2], [3, 4e8]]),
        shape([[1, 2], [3, 10**400]]),
        shape([[1, 2]], "point"),
        shape([[1, 2]], "circle"),
        shape([[1, 2], [nan, 4]], "circle"),
        shape([[1, 2], [3, 4]], label=""),
        shape([[1, 2], [3, 4]], label=None),
        "nonsense",
        None,
    ]
    # A box over the border is a box: the checker shows it to the user.
    text("a.json", labelme(shape([[-5, -6], [3, 4]]), *bad))
    text("b.json", labelme(shape([[1, 2]], "point"), image="b.jpg"))
    text("c.json", labelme(image="c.jpg"))
    dataset = read(tmp_path)
    assert [e.xyxy.tolist() for e in dataset.examples] == [[[-5, -6, 3, 4]], []]
    assert kinds(dataset) == {"bad-box": len(bad) + 1, "picture-left-out": 1}
    places = {p.where for p in dataset.problems if p.path == tmp_path / "a.jpg"}
    assert places == {f"a.json, shape {n}" for n in range(2, len(bad) + 2)}
    assert "a point of 1 has no extent" in str(dataset.problems[len(bad)])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"shapes": 3}', "[" * 100_000, "\x00\xff"])
def test_a_picture_whose_json_cannot_be_read_is_no_negative(
    tmp_path: Path, picture, text, content: str
) -> None:
    for name in ("good", "bad", "negative"):
        picture(f"{name}.jpg")
    text("good.json", labelme(shape([[1, 2], [3, 4]]), image="good.jpg"))
    text("bad.json", content)
    text("settings.json", '{"theme": "dark"}')
    dataset = read(tmp_path)
    assert [e.path.stem for e in dataset.examples] == ["good", "negative"]
    assert kinds(dataset) == {
        "bad-label-file": 1,
        "other-file": 1,
        "picture-left-out": 1,
        "picture-without-label": 1,
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_and_names(tmp_path: Path, picture, text, encoding: str) -> None:
    expected = picture("pêche.jpg")
    text(
        "1.json",
        labelme(shape([[1, 2], [3, 4]], label=" pêche "), image="pêche.jpg").encode(encoding),
    )
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert dataset.class_names == ("pêche",)


def test_numbers_as_classes_sort_as_numbers(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("a.json", labelme(*(shape([[1, 2], [3, 4]], label=n) for n in (10, "2", 1))))
    assert read(tmp_path).class_names == ("1", "2", "10")


@pytest.mark.parametrize("size", [(None, None), ("x", "y"), (float("nan"), 3), ([], {})])
def test_a_size_that_is_none(tmp_path: Path, picture, text, size: Any) -> None:
    picture("a.jpg")
    text("a.json", labelme(shape([[1, 2], [3, 4]]), size=size))
    assert read(tmp_path).examples[0].size_wh is None


@pytest.mark.parametrize("first", ["imageData", "shapes"])
def test_the_picture_inside_costs_no_memory(tmp_path: Path, picture, text, first: str) -> None:
    picture("a.jpg")
    content = json.loads(labelme(shape([[1, 2], [3, 4]], label='an "imageData"'), data="A" * 2**23))
    text("a.json", json.dumps({first: content[first], **content}))
    tracemalloc.start()
    dataset = read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset.class_names == ('an "imageData"',)
    assert peak < 2**20


def test_a_picture_inside_with_escapes(tmp_path: Path, picture, text) -> None:
    r"""PHP writes a slash as \/; an escaped quote ends no string."""
    picture("a.jpg")
    content = labelme(shape([[1, 2], [3, 4]]), data="9j4")
    text("a.json", content.replace("9j4", r"\/9j\/\"4A, \"imageData\": \"AA"))
    assert [len(e.labels) for e in read(tmp_path).examples] == [1]


ODD = odd("circle", "mask")
SHAPE = st.dictionaries(
    st.sampled_from(["label", "points", "shape_type", "flags", "difficult", "mask"]),
    ODD,
    max_size=6,
)
PAIRS = st.lists(st.lists(st.floats() | st.integers(), min_size=2, max_size=2), max_size=4)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shapes=st.lists(SHAPE | ODD | PAIRS.map(shape) | PAIRS.map(lambda p: shape(p, "circle"))),
    rest=st.dictionaries(st.sampled_from(["imagePath", "imageWidth", "imageHeight"]), ODD),
)
def test_any_json_values_give_problems(tmp_path: Path, shapes: list[Any], rest: Any) -> None:
    (tmp_path / "a.jpg").touch()
    content = json.loads(labelme(shape([[1, 2], [3, 4]]), *shapes)) | rest
    (tmp_path / "a.json").write_text(json.dumps(content), "utf-8")
    dataset = read(tmp_path, "labelme")
    (example,) = dataset.examples
    assert len(example.labels) + kinds(dataset)["bad-box"] == 1 + len(shapes)
    assert np.isfinite(example.xyxy).all()
