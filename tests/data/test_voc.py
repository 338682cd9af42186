"""VOC XML as tools really write it: which picture, which pixels, what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detector.data.formats import read


def kinds(dataset) -> Counter:
    return Counter(problem.kind for problem in dataset.problems)


def test_xml_beside_the_picture_keeps_its_edges(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    text("a.xml", voc_xml(("cat", 1, 2, 30.5, 40), filename="a.jpg", size=(64, 48)))
    dataset = read(tmp_path)
    (example,) = dataset.examples
    assert example.xyxy.dtype == np.float32
    assert example.xyxy.tolist() == [[1, 2, 30.5, 40]]
    assert example.size_wh == (64, 48)
    assert example.source == "a.xml"
    assert dataset.class_names == ("cat",)
    assert dataset.problems == ()


def test_objects_in_a_list_of_their_own(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    xml = voc_xml(("cat", 1, 2, 30, 40), ("dog", 5, 5, 9, 9))
    text(
        "a.xml", xml.replace("<object>", "<objects><object>", 1).replace("</ann", "</objects></ann")
    )
    assert [len(example.labels) for example in read(tmp_path).examples] == [2]


def test_devkit_counts_from_one_and_has_lists(tmp_path: Path, picture, text, voc_xml) -> None:
    for name in ("1", "2", "3"):
        picture(f"VOC2007/JPEGImages/{name}.jpg")
        xml = voc_xml(("cat", 1, 1, 64, 48), filename=f"{name}.jpg")
        text(f"VOC2007/Annotations/{name}.xml", xml)
        picture(f"VOC2007/SegmentationClass/{name}.png")  # a mask, no picture to learn from
    text("VOC2007/ImageSets/Main/train.txt", "1 -1\n3  1\n")
    text("VOC2007/ImageSets/Main/val.txt", "2\r\n\r\n")
    whole = read(tmp_path)
    assert [e.path.parent.name for e in whole.examples] == ["JPEGImages"] * 3
    assert whole.examples[0].xyxy.tolist() == [[0, 0, 64, 48]]
    assert kinds(whole) == {"unlisted-picture": 3}
    assert [e.path.stem for e in read(tmp_path, split="train").examples] == ["1", "3"]
    assert [e.path.stem for e in read(tmp_path, split="val").examples] == ["2"]
    assert read(tmp_path, first_pixel=0).examples[0].xyxy.tolist() == [[1, 1, 64, 48]]


@pytest.mark.parametrize("edge", [0, 0.5])
def test_a_box_at_zero_tells_what_its_folder_counts_from(
    tmp_path: Path, picture, text, voc_xml, edge: float
) -> None:
    """CVAT writes this layout, counting from 0."""
    for name, x in (("a/{}/1", edge), ("a/{}/2", 7), ("b/{}/3", 7), ("b/{}/4", -3)):
        picture(name.format("JPEGImages") + ".jpg")
        text(name.format("Annotations") + ".xml", voc_xml(("cat", x, 5, 9, 9)))
        text(name.format("ImageSets"), "")
    dataset = read(tmp_path)
    edges = [e.xyxy[0].tolist() for e in dataset.examples]
    # A box over the border, as that of b/4, tells nothing.
    assert edges == [[edge, 5, 9, 9], [7, 5, 9, 9], [6, 4, 9, 9], [-4, 4, 9, 9]]
    assert [(p.kind, p.where) for p in dataset.problems] == [("from-zero", "a/Annotations")]
    assert "in 1 picture, the first 1.jpg" in dataset.problems[0].message
    told = read(tmp_path, first_pixel=1)
    assert told.examples[0].xyxy[0].tolist() == [edge - 1, 4, 9, 9]
    assert [(p.kind, p.where) for p in told.problems] == [("zero-based", "a/Annotations/1.xml")]
    assert "set first_pixel: 0" in told.problems[0].message


def test_another_xml_in_the_place_of_labels(tmp_path: Path, picture, text, voc_xml) -> None:
    """It costs the picture of its name; without one it is nobody's."""
    picture("a.jpg")
    picture("b.jpg")
    text("a.xml", voc_xml(("cat", 1, 2, 30, 40)))
    text("b.xml", "<annotations></annotations>")
    text("c.xml", "<settings></settings>")
    dataset = read(tmp_path)
    assert [e.path.name for e in dataset.examples] == ["a.jpg"]
    assert kinds(dataset) == {"bad-label-file": 1, "picture-left-out": 1, "other-file": 1}
    assert "<settings>" in next(p for p in dataset.problems if p.kind == "other-file").message


@pytest.mark.parametrize(
    "filename",
    ["b.jpg", "a.png", r"C:\Users\me\pictures\a.JPG", "/home/gone/a", "..", "xoài.jpg"],
)
def test_the_stem_wins_over_a_wrong_filename(
    tmp_path: Path, picture, text, voc_xml, filename: str
) -> None:
    expected = picture("images/a.jpg")
    picture("images/b.jpg")
    text("annotations/a.xml", voc_xml(("cat", 1, 2, 3, 4), filename=filename))
    text("annotations/b.xml", voc_xml(("dog", 1, 2, 3, 4), filename="b.jpg"))
    dataset = read(tmp_path)
    assert [e.source for e in dataset.examples if e.path == expected] == ["annotations/a.xml"]
    assert kinds(dataset) == {"wrong-filename": 1}


def test_filename_is_used_when_no_stem_fits(tmp_path: Path, picture, text, voc_xml) -> None:
    expected = picture("img/xoài.jpg")
    name = r"D:\ảnh\xoài.jpg"
    text("xml/0001.xml", voc_xml(("xoài", 1, 2, 3, 4), filename=name))
    dataset = read(tmp_path)
    assert [e.path for e in dataset.examples] == [expected]
    assert dataset.class_names == ("xoài",)


def test_same_names_in_two_folders_stay_apart(tmp_path: Path, picture, text, voc_xml) -> None:
    for folder, x in (("day", 5), ("night", 7)):
        picture(f"{folder}/images/1.jpg")
        text(f"{folder}/xml/1.xml", voc_xml(("cat", x, 2, 30, 40), filename="1.jpg"))
    dataset = read(tmp_path)
    found = {e.path.parts[-3]: e.xyxy[0, 0] for e in dataset.examples}
    assert found == {"day": 5, "night": 7}
    assert dataset.problems == ()


def test_what_is_missing_on_either_side_is_counted(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    negative = picture("b.jpg")
    text("a.xml", voc_xml(("cat", 1, 2, 30, 40)))
    text("gone.xml", voc_xml(("cat", 1, 2, 30, 40), filename="gone.jpg"))
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [1, 0]
    assert dataset.examples[1].path == negative
    assert dataset.examples[1].xyxy.shape == (0, 4)
    assert kinds(dataset) == {"label-without-picture": 1, "picture-without-label": 1}


def test_a_picture_whose_labels_cannot_be_read_is_no_negative(
    tmp_path: Path, picture, text, voc_xml
) -> None:
    for name in ("good", "cut", "nameless", "negative", "without"):
        picture(f"images/{name}.jpg")
    text("xml/good.xml", voc_xml(("cat", 1, 2, 30, 40)))
    text("xml/cut.xml", voc_xml(("cat", 1, 2, 30, 40))[:-30])
    text("xml/nameless.xml", voc_xml(("", 1, 2, 30, 40)))
    text("xml/negative.xml", voc_xml())
    dataset = read(tmp_path)
    assert [e.path.stem for e in dataset.examples] == ["good", "negative", "without"]
    left_out = [p for p in dataset.problems if p.kind == "picture-left-out"]
    assert [p.path for p in left_out] == [tmp_path / f"images/{n}.jpg" for n in ("cut", "nameless")]
    assert "xml/cut.xml has no labels for it that can be read" in left_out[0].message
    assert kinds(dataset) == {
        "bad-label-file": 1,
        "bad-box": 1,
        "picture-left-out": 2,
        "picture-without-label": 1,
    }


def test_an_xml_that_may_mean_two_pictures(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("images/x/1.jpg", seed=1)
    other = picture("images/y/1.jpg", seed=2)
    text("xml/1.xml", voc_xml(("cat", 1, 2, 30, 40), filename="1.jpg"))
    dataset = read(tmp_path)
    assert dataset.examples == ()
    assert kinds(dataset) == {"label-without-picture": 1, "picture-left-out": 2}
    other.write_bytes((tmp_path / "images/x/1.jpg").read_bytes())  # copies of one
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [1, 0]
    assert kinds(dataset) == {"duplicate-picture": 1, "picture-without-label": 1}


def test_bad_objects_are_left_out_and_told(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    extra = (
        "<object><name>cat</name></object>"
        "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>"
    )
    objects = [("cat", "nan", 1, 2, 3), ("cat", "1e30", 1, 2, 3), ("cat", "x", 1, 2, 3)]
    text("a.xml", voc_xml(("cat", 9, 9, 5, 9), *objects, extra=extra))
    dataset = read(tmp_path)
    # An inverted box is a box: the checker shows it to the user.
    assert dataset.examples[0].xyxy.tolist() == [[9, 9, 5, 9]]
    assert kinds(dataset) == {"bad-box": 5}
    assert {p.where for p in dataset.problems} == {f"a.xml, object {n}" for n in range(2, 7)}


def test_difficult_parts_and_sizes(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    hard = ("cat", 1, 2, 3, 4, "<difficult> 1 </difficult>" + part)
    text("a.xml", voc_xml(hard, ("dog", 1, 2, 3, 4, "<difficult>0</difficult>"), size=(0, 0)))
    dataset = read(tmp_path)
    assert dataset.examples[0].ignore.tolist() == [True, False]
    assert dataset.class_names == ("cat", "dog")
    assert dataset.class_counts().tolist() == [0, 1]
    assert dataset.examples[0].size_wh == (0, 0)


def test_numbers_as_class_names_sort_as_numbers(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    text("a.xml", voc_xml(*((n, 1, 2, 3, 4) for n in ("10", "2", "0", "1"))))
    dataset = read(tmp_path)
    assert dataset.class_names == ("0", "1", "2", "10")
    assert dataset.examples[0].labels.tolist() == [3, 2, 0, 1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_and_line_ends(tmp_path: Path, picture, text, voc_xml, encoding: str) -> None:
    picture("a.jpg")
    body = voc_xml(("pêche", 1, 2, 3, 4)).replace("<object>", "\r\n<object>")
    head = '<?xml version="1.0" encoding="utf-8"?>\r\n'  # wrong for two of the three
    text("a.xml", (head + body).encode(encoding))
    assert read(tmp_path, "voc").class_names == ("pêche",)


def test_entity_bombs_are_refused(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    bomb = '<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
    text("a.xml", bomb)
    dataset = read(tmp_path, "voc", images=tmp_path)
    assert kinds(dataset)["bad-label-file"] == 1
    assert "document type" in dataset.problems[0].message


def test_two_xml_of_one_picture(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    text("a.xml", voc_xml(("cat", 1, 2, 3, 4)))
    text("copy.xml", voc_xml(("cat", 5, 6, 7, 8), filename="a.jpg"))
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy.tolist() == [[1, 2, 3, 4]]
    assert kinds(dataset) == {"duplicate-picture": 1}
