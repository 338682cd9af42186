"""CVAT's own XML, of tasks and projects, whole and hostile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.data.check.report import check
from detector.data.formats import open_folder, read, read_all
from detector.data.load import load_data, load_splits
from detector.errors import DetectorError


def box(x1: object, y1: object, x2: object, y2: object, label: str = "cat", more: str = "") -> str:
    return (
        f'<box label="{label}" source="manual" occluded="1" xtl="{x1}" ytl="{y1}" xbr="{x2}" '
        f'ybr="{y2}" z_order="0"{more}></box>'
    )


def image(name: str, *shapes: str, more: str = "") -> str:
    size = 'width="64" height="48"'
    return f'<image id="0" name="{name}"{more} {size}>{"".join(shapes)}</image>'


def cvat(*images: str, labels: tuple[str, ...] = ("cat", "dog")) -> str:
    named = "".join(f"<label><name>{n}</name><color>#fff</color></label>" for n in labels)
    meta = f"<meta><task><name>t</name><labels>{named}</labels></task></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>'
    return f"{head}{meta}{''.join(images)}</annotations>"


def kinds(dataset) -> Counter:
    return Counter(problem.kind for problem in dataset.problems)


def test_a_task_with_images(tmp_path: Path, picture, text) -> None:
    picture("images/a.jpg")
    picture("images/b.jpg")
    path = text(
        "annotations.xml",
        cvat(
            image("a.jpg", box(1, 2, 30.5, 40, "dog"), box(3, 4, 5, 6)),
            image("b.jpg"),
            labels=("dog", "unused", "cat"),
        ),
    )
    for root in (tmp_path, path):
        dataset = read(root)
        first, second = dataset.examples
        assert first.xyxy.dtype == np.float32
        assert first.xyxy.tolist() == [[1, 2, 30.5, 40], [3, 4, 5, 6]]
        assert (dataset.class_names, first.labels.tolist()) == (("dog", "cat"), [0, 1])
        assert first.ignore.tolist() == [False, False]  # occluded ones are wanted
        assert (first.size_wh, first.source) == ((64, 48), "annotations.xml image a.jpg")
        assert second.xyxy.shape == (0, 4)
        assert dataset.problems == ()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('<polygon label="cat" points="10,2;30.5,20;5,40" />', [5, 2, 30.5, 40]),
        ('<polyline label="cat" points="10,2;5,40;" />', [5, 2, 10, 40]),
        ('<ellipse label="cat" cx="20" cy="10" rx="8" ry="4" />', [12, 6, 28, 14]),
        ('<ellipse label="cat" cx="20" cy="10" rx="8" ry="4" rotation="90" />', [16, 2, 24, 18]),
        ('<ellipse label="cat" cx="20" cy="20" rx="5" ry="5" rotation="33" />', [15, 15, 25, 25]),
        ('<mask label="cat" rle="1, 2" left="3" top="4" width="10" height="6" />', [3, 4, 13, 10]),
        (
            '<cuboid label="cat" xtl1="1" ytl1="9" xbl1="1" ybl1="20" xtr1="7" ytr1="9" xbr1="7" '
            'ybr1="20" xtl2="3" ytl2="5" xbl2="3" ybl2="16" xtr2="12" ytr2="5" xbr2="12" '
            'ybr2="16" />',
            [1, 5, 12, 20],
        ),
        (box(10, 20, 30, 24, more=' rotation="90"'), [18, 12, 22, 32]),
        (box(10, 20, 30, 24, more=' rotation="270.00"'), [18, 12, 22, 32]),
        (box(0, 0, 8, 6, more=' rotation="45"'), [-0.9497, -1.9497, 8.9497, 7.9497]),
    ],
)
def test_shapes_become_the_boxes_around_them(
    tmp_path: Path, picture, text, shape: str, expected: list[float]
) -> None:
    picture("a.jpg")
    text("annotations.xml", cvat(image("a.jpg", shape)))
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert kinds(dataset) == {"other-shape": 1}


def test_a_box_that_is_not_turned_stays_as_it_stands(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    shapes = [box(9, 9, 5, 9), box(-3, 1, 70, 9, more=' rotation="360.00"')]
    text("annotations.xml", cvat(image("a.jpg", *shapes)))
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy.tolist() == [[9, 9, 5, 9], [-3, 1, 70, 9]]
    assert dataset.problems == ()


def test_what_is_no_box_is_counted_and_told(tmp_path: Path, picture, text) -> None:
    for n in range(6):
        picture(f"{n}.jpg", width=80)
    polygon = '<polygon label="cat" points="10,2;30.5,20;5,40" />'
    turned = box(10, 20, 30, 24, more=' rotation="10"')
    shapes = [polygon, polygon, turned, '<tag label="sharp" />', box(1, 2, 9, 9)]
    text("annotations.xml", cvat(*(image(f"{n}.jpg", *shapes) for n in range(6))))
    found = [f for f in check(tmp_path).findings if f.kind == "other-shape"]
    told = "12 polygons, 6 turned boxes: used as the upright boxes around them"
    assert [(f.severity, f.where, f.message) for f in found] == [("note", "annotations.xml", told)]


def test_a_tag_alone_is_of_a_picture_without_objects(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    picture("b.jpg")
    images = [image("a.jpg", box(1, 2, 3, 4)), image("b.jpg", '<tag label="empty" />')]
    text("annotations.xml", cvat(*images))
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [1, 0]
    assert dataset.class_names == ("cat",)


def test_bad_shapes_are_left_out_and_told(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    picture("b.jpg")
    bad = [
        box("nan", 1, 2, 3),
        box(1, "inf", 2, 3),
        box(1, 2, "1e30", 3),
        box("x", 1, 2, 3),
        box(1, 2, 3, 4, more=' rotation="inf"'),
        box(1, 2, 3, 4, more=' rotation="?"'),
        box(1, 2, 3, 4, ""),
        '<box label="cat" xtl="1" ytl="2" xbr="3" />',
        '<polygon label="cat" />',
        '<polygon label="cat" points="1,2" />',
        '<polygon label="cat" points="1,2;3" />',
        '<polygon label="cat" points="1,2;nan,4;5,6" />',
        '<ellipse label="cat" cx="1" cy="2" rx="3" />',
        '<points label="cat" points="1,2;3,4" />',
        '<skeleton label="cat"><points label="1" points="1,2" /></skeleton>',
        '<blob label="cat" />',
    ]
    only = '<points label="cat" points="1,2" />'
    text("annotations.xml", cvat(image("a.jpg", box(1, 2, 3, 4), *bad), image("b.jpg", only)))
    dataset = read(tmp_path)
    assert [e.xyxy.tolist() for e in dataset.examples] == [[[1, 2, 3, 4]]]
    assert kinds(dataset) == {"bad-box": len(bad) + 1, "picture-left-out": 1}
    said = [str(p) for p in dataset.problems]
    assert said[3] == (
        "annotations.xml image a.jpg, box (shape 5): xtl holds 'x', expected a number; left out"
    )
    assert "has no outline to put a box around" in said[13]


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ('<attribute name="difficult">true</attribute>', True),
        ('<attribute name="is_crowd"> 1 </attribute>', True),
        ('<attribute name="difficult">false</attribute>', False),
        ('<attribute name="difficult" />', False),
        ('<attribute name="colour">true</attribute>', False),
    ],
)
def test_marks_for_boxes_neither_wanted_nor_wrong(
    tmp_path: Path, picture, text, attribute: str, expected: bool
) -> None:
    picture("a.jpg")
    text("a.xml", cvat(image("a.jpg", box(1, 2, 3, 4).replace("</box>", f"{attribute}</box>"))))
    assert read(tmp_path).examples[0].ignore.tolist() == [expected]


def test_names_and_pictures_that_do_not_meet(tmp_path: Path, picture, text) -> None:
    expected = picture("images/sub/a.jpg", seed=1)
    picture("images/other/a.jpg", seed=2)
    picture("images/sub/unlisted.jpg")
    images = [
        image(r"C:\x\sub\a.JPG", box(1, 2, 3, 4)),
        image("a.jpg", box(1, 2, 3, 4)),
        image("gone.jpg", box(1, 2, 3, 4)),
        image("", box(1, 2, 3, 4)),
        "<image />",
    ]
    text("annotations.xml", cvat(*images))
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert kinds(dataset) == {"label-without-picture": 4, "unlisted-picture": 1}
    assert "'a.jpg' fits 2 different pictures" in dataset.problems[0].message


def test_a_picture_listed_twice_has_the_boxes_of_both(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("x.xml", cvat(image("a.jpg", box(1, 2, 3, 4)), image("a.jpg", box(5, 6, 7, 8))))
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert kinds(dataset) == {"duplicate-picture": 1}


def test_two_files_that_label_one_picture(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    for name in ("one", "two"):
        text(f"{name}.xml", cvat(image("a.jpg", box(1, 2, 3, 4))))
    with pytest.raises(DetectorError, match=r"one\.xml and two\.xml both label a\.jpg"):
        read(tmp_path)


def project(*subsets: tuple[str, str]) -> str:
    return cvat(
        *(image("1.jpg", box(x, 2, 30, 40), more=f' subset="{name}"') for name, x in subsets)
    )


def test_a_project_has_a_folder_for_each_subset(tmp_path: Path, picture, text) -> None:
    for n, name in enumerate(("Train", "Validation")):
        picture(f"images/{name}/1.jpg", seed=n)
    text("annotations.xml", project(("Train", "5"), ("Validation", "7")))
    dataset = read(tmp_path)
    assert {e.path.parent.name: e.xyxy[0, 0] for e in dataset.examples} == {
        "Train": 5,
        "Validation": 7,
    }
    assert dataset.problems == ()
    assert [load_data(tmp_path, s).examples[0].xyxy[0, 0] for s in ("train", "val")] == [5, 7]


def test_subsets_are_splits_where_the_pictures_lie_in_one_folder(
    tmp_path: Path, picture, text
) -> None:
    for n in range(4):
        picture(f"images/{n}.jpg")
    listed = [("0", "Train"), ("1", "val"), ("2", "Train"), ("gone", "val")]
    shape = box(1, 2, 3, 4)
    images = [image(f"{n}.jpg", shape, more=f" subset='{subset}'") for n, subset in listed]
    text("annotations.xml", cvat(*images))
    splits = load_splits(tmp_path)
    names = {name: [e.path.stem for e in part.examples] for name, part in splits.items()}
    assert names == {"train": ["0", "2"], "val": ["1"]}
    assert kinds(splits["train"]) == {"unlisted-picture": 1}
    assert kinds(splits["val"]) == {"unlisted-picture": 1, "label-without-picture": 1}


def test_images_of_no_subset_train_and_those_of_another_are_told(
    tmp_path: Path, picture, text
) -> None:
    for n in range(4):
        picture(f"images/{n}.jpg", seed=n)
    listed = [("0", ""), ("1", " subset='val'"), ("2", ""), ("3", " subset='Holdout'")]
    images = [image(f"{n}.jpg", box(1, 2, 3, 4), more=more) for n, more in listed]
    text("annotations.xml", cvat(*images))
    splits = load_splits(tmp_path)
    names = {name: [e.path.stem for e in part.examples] for name, part in splits.items()}
    assert names == {"train": ["0", "2"], "val": ["1"]}
    for part in splits.values():
        assert [p.message for p in part.problems] == [
            "of subset 'Holdout', which is neither train, val nor test; not used"
        ]


def test_a_picture_of_another_file_is_not_called_unused(tmp_path: Path, picture, text) -> None:
    for name in ("a", "b"):
        picture(f"images/{name}.jpg")
    for name, stem in (("train", "a"), ("val", "b")):
        text(f"labels/{name}.xml", cvat(image(f"{stem}.jpg", box(1, 2, 3, 4))))
    assert all(part.problems == () for part in load_splits(tmp_path).values())


def test_files_named_after_splits_and_lists(tmp_path: Path, picture, text) -> None:
    for name in ("a", "b"):
        picture(f"images/{name}.jpg")
    text("labels/train.xml", cvat(image("a.jpg", box(1, 2, 3, 4))))
    text("labels/val.xml", cvat(image("b.jpg", box(1, 2, 3, 4))))
    assert [e.path.stem for e in read(tmp_path, split="val").examples] == ["b"]
    text("val.txt", "a.jpg\n")
    assert [e.path.stem for e in read(tmp_path, split="val").examples] == ["a"]


VIDEO = '<annotations><track id="0" label="cat"><box frame="0" xtl="1" /></track></annotations>'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is not well-formed XML"),
        ("<annotations>", "is not well-formed XML"),
        (cvat(image("a.jpg", box(1, 2, 3, 4)))[:-20], "is not well-formed XML"),
        ("<annotation></annotation>", "holds <annotation>, expected <annotations>"),
        ("<annotations></annotations>", "lists no <image>; expected 'CVAT for images 1.1'"),
        (VIDEO, r"is 'CVAT for video' \(1 tracks\), which is not read: export the task"),
        ("<!DOCTYPE a [<!ENTITY x 'lol'>]>" + cvat(image("&x;")), "declares a document type"),
        ("<annotations>" + "<image>" * 100_000, "nest more than 64 deep"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, picture, text, content: str, expected: str) -> None:
    picture("a.jpg")
    path = text("x.xml", content)
    with pytest.raises(DetectorError, match=rf"x\.xml: .*{expected}"):
        read_all(open_folder(path, "cvat"))


def test_tracks_beside_images_are_told(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    track = VIDEO.removeprefix("<annotations>").removesuffix("</annotations>")
    text("x.xml", cvat(image("a.jpg", box(1, 2, 3, 4)), track))
    dataset = read(tmp_path)
    assert [(p.kind, p.message) for p in dataset.problems] == [
        ("bad-label-file", "1 tracks of a video are not read; expected 'CVAT for images 1.1'")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_and_names(tmp_path: Path, picture, text, encoding: str) -> None:
    expected = picture("pêche.jpg")
    content = cvat(image("pêche.jpg", box(1, 2, 3, 4, " pêche ")), labels=("pêche",))
    text("annotations.xml", content.encode(encoding))  # what it declares is wrong for two of them
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert dataset.class_names == ("pêche",)


def test_a_large_file_is_read_piece_by_piece(tmp_path: Path, picture, text) -> None:
    """Longer than several pieces, with letters of several bytes where they are cut."""
    names = [f"{n:04d}-ảnh.jpg" for n in range(3000)]
    picture(names[0])
    picture(names[-1])
    text("annotations.xml", cvat(*(image(name, box(1, 2, 3, 4, "xoài")) for name in names)))
    dataset = read(tmp_path)
    assert [e.path.name for e in dataset.examples] == [names[0], names[-1]]
    assert kinds(dataset) == {"label-without-picture": 2998}


# XML allows no control characters.
LETTERS = st.characters(exclude_categories=("Cc", "Cn", "Cs"), exclude_characters='<>&"')
TEXT = st.text(LETTERS, max_size=6)
NUMBER = (st.floats() | st.integers()).map(str) | TEXT
KEYS = ("xtl", "ytl", "xbr", "ybr", "points", "cx", "cy", "rx", "ry", "rotation", "left", "label")
POINTS = st.lists(st.tuples(NUMBER, NUMBER).map(",".join), max_size=4).map(";".join)
SHAPE = st.tuples(
    st.sampled_from(["box", "polygon", "polyline", "ellipse", "mask", "cuboid", "points", "odd"]),
    st.dictionaries(st.sampled_from(KEYS), NUMBER | POINTS, max_size=12),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shapes=st.lists(SHAPE, max_size=3), size=st.tuples(NUMBER, NUMBER))
def test_any_attributes_give_problems(
    tmp_path: Path, shapes: list[tuple[str, dict[str, str]]], size: tuple[str, str]
) -> None:
    (tmp_path / "a.jpg").touch()
    rows = []
    for tag, attributes in shapes:
        written = (f'{key}="{value}"' for key, value in attributes.items())
        rows.append(f"<{tag} {' '.join(written)} />")
    content = cvat(image("a.jpg", box(1, 2, 3, 4), *rows))
    content = content.replace('width="64" height="48"', f'width="{size[0]}" height="{size[1]}"')
    (tmp_path / "a.xml").write_text(content, "utf-8")
    dataset = read(tmp_path, "cvat")
    (example,) = dataset.examples
    assert len(example.labels) + kinds(dataset)["bad-box"] == 1 + len(shapes)
    assert np.isfinite(example.xyxy).all()
