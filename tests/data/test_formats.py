"""Telling formats apart, and readers that must survive any bytes."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.data.formats import FORMATS, read
from detector.data.tree import scan
from detector.errors import DetectorError

CSV = "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n"
COCO = """{"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
"categories": [{"id": 1, "name": "cat"}]}"""
VOC = """<?xml version="1.0"?><annotation><filename>a.jpg</filename><size><width>64</width>
<height>48</height></size><object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin>
<ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"""
YOLO_YAML = "names: {0: cat, 1: dog}\nnc: 2\ntrain: ../train/images\nval: [a, b]\n"
LABELME = """{"version": "5.5.0", "flags": {}, "shapes": [{"label": "cat",
"points": [[1, 2], [3, 4]], "shape_type": "rectangle", "flags": {"difficult": false}}],
"imagePath": "a.jpg", "imageData": "/9j/4A==", "imageHeight": 48, "imageWidth": 64}"""
CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><meta><task><labels><label>
<name>cat</name></label></labels></task></meta><image id="0" name="a.jpg" width="64" height="48">
<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" rotation="15"><attribute name="difficult">false
</attribute></box></image></annotations>"""
FILES = {
    "voc": "a.xml",
    "coco": "a.json",
    "yolo": "a.txt",
    "csv": "a.csv",
    "labelme": "a.json",
    "cvat": "annotations.xml",
}
CONTENT = {
    "voc": VOC,
    "coco": COCO,
    "yolo": "0 0.5 0.5 0.5 0.5\n",
    "csv": CSV,
    "labelme": LABELME,
    "cvat": CVAT,
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_is_told_and_may_be_forced(tmp_path: Path, picture, text, name: str) -> None:
    picture("a.jpg")
    text(FILES[name], CONTENT[name])
    for given_format in ("auto", name):
        dataset = read(tmp_path, given_format)
        assert [len(e.labels) for e in dataset.examples] == [1]


def test_a_csv_beside_xml_is_a_table_made_from_it(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("a.xml", VOC)
    text("labels.csv", CSV)
    assert read(tmp_path).examples[0].source == "a.xml"
    assert read(tmp_path, "csv").examples[0].source == "labels.csv, line 2"
    assert read(tmp_path / "labels.csv").examples[0].source == "labels.csv, line 2"


def test_refusals_say_what_was_found_and_expected(tmp_path: Path, picture, text) -> None:
    with pytest.raises(DetectorError, match=r"gone: no such folder"):
        read(tmp_path / "gone")
    text("x/readme.md", "hello")
    with pytest.raises(DetectorError, match=r"no labels found \(1 \.md\); expected VOC XML"):
        read(tmp_path / "x")
    text("x/a.xml", VOC)
    with pytest.raises(DetectorError, match="labels but no pictures"):
        read(tmp_path / "x")
    picture("x/a.jpg")
    text("x/a.txt", CONTENT["yolo"])
    with pytest.raises(DetectorError, match=r"labels in 2 formats: voc \(a\.xml\), yolo"):
        read(tmp_path / "x")
    with pytest.raises(DetectorError, match=r"no split 'val' \(splits here: none\)"):
        read(tmp_path / "x", "voc", split="val")
    with pytest.raises(DetectorError, match="format 'vocc' is unknown"):
        read(tmp_path / "x", "vocc")


def test_pictures_may_be_elsewhere(tmp_path: Path, picture, text) -> None:
    picture("far/away/a.jpg")
    text("labels/a.xml", VOC)
    assert len(read(tmp_path / "labels", images=tmp_path / "far").examples) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_walked_once(tmp_path: Path, picture, text) -> None:
    picture("disk/images/a.jpg")
    text("set/a.xml", VOC)
    (tmp_path / "set" / "images").symlink_to(tmp_path / "disk" / "images")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert len(scan(tmp_path / "set").files) == 2
    assert len(read(tmp_path / "set").examples) == 1


def damage(content: bytes) -> st.SearchStrategy[bytes]:
    """The file cut short, with bytes replaced, or with a piece doubled."""
    size = len(content)
    place = st.integers(0, size)
    return st.one_of(
        st.binary(max_size=200),
        place.map(lambda i: content[:i]),
        st.tuples(place, place, st.binary(max_size=8)).map(
            lambda t: content[: t[0]] + t[2] + content[t[1] :]
        ),
    )


@pytest.mark.parametrize("name", [*FORMATS, "data.yaml", "train.txt", "classes.txt"])
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_bytes_give_problems_or_one_clear_error(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    if not (tmp_path / "a.jpg").exists():
        (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3)))[1].tobytes())
        (tmp_path / "a.txt").write_text(CONTENT["yolo"])
    others = {"data.yaml": YOLO_YAML, "train.txt": "a\nb/a.jpg 1\n", "classes.txt": "cat\ndog\n"}
    original = CONTENT.get(name) or others[name]
    (tmp_path / FILES.get(name, name)).write_bytes(data.draw(damage(original.encode())))
    for given_format, split in ((name, None), ("auto", "train")):
        chosen = given_format if given_format in FORMATS else "yolo"
        try:
            dataset = read(tmp_path, chosen if split is None else "auto", split)
        except DetectorError:
            continue
        for example in dataset.examples:
            assert example.xyxy.shape == (len(example.labels), 4)
            assert np.isfinite(example.xyxy).all()
            assert ((example.labels >= 0) & (example.labels < len(dataset.class_names))).all()
        assert all(p.kind and p.where and p.message for p in dataset.problems)
