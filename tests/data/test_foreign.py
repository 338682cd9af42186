"""Label files of other formats are named, with a way to one that is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.data.formats import read
from detector.errors import DetectorError

LABELME = json.dumps(
    {
        "version": "5.2.1",
        "shapes": [{"label": "cat", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}],
        "imagePath": "a.jpg",
        "imageData": "A" * 100_000,
    }
)
REGION = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
VIA = {
    "filename": "a.jpg",
    "regions": [{"shape_attributes": REGION, "region_attributes": {"type": "cat"}}],
}
STUDIO = [{"id": 1, "annotations": [{"result": [{"value": {"rectanglelabels": ["cat"]}}]}]}]
CREATEML = [
    {"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 5, "y": 5}}]},
]
FOREIGN = {
    "annotations.xml": (
        '<annotations><track label="cat"><box frame="0" xtl="1" /></track></annotations>',
        "CVAT's XML for video: export it as 'CVAT for images 1.1'",
    ),
    "via.json": (json.dumps({"a.jpg123": VIA}), "VIA's json: export it from VIA in COCO"),
    "project.json": (json.dumps(STUDIO), "Label Studio's own json: export it"),
    "a.jpg.json": (json.dumps({"objects": [{"classTitle": "cat"}]}), "Supervisely's json: export"),
    "_annotations.createml.json": (json.dumps(CREATEML), "CreateML's json: export"),
    "export.json": ('{"asset": {"id": 1}, "regions": []}', "VoTT's json: export"),
    "metadata.jsonl": (
        '{"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 3, 4]]}}',
        "Hugging Face's metadata.jsonl: write a COCO json",
    ),
    "via_region_data.csv": (
        "#filename,file_size,region_count,region_shape_attributes,region_attributes\n",
        "VIA's CSV: export",
    ),
    "annotations/a.csv": (
        "#item,x,y,dx,dy,label\n0,1,2,3,4,1\n",
        "begins with '#item,x,y,dx,dy,label': a table's first line must name the columns filename",
    ),
    "boxes.csv": ("a.jpg,1,2,30,40,cat\n", "begins with 'a.jpg,1,2,30,40,cat': a table's"),
    "label_2/a.txt": (
        "Car 0.00 0 -1.57 1 2 30 40 1 1 1 1 1 1 1\n",
        "begins with 'Car 0.00 0 .*': YOLO has a file a picture, with rows of 'class cx cy w h'",
    ),
    "train/_annotations.txt": ("a.jpg 1,2,30,40,0\n", "begins with 'a.jpg 1,2,30,40,0': YOLO has"),
    "labels/a.jpg.txt": (
        "0 0.5 0.5 0.25 .125\n",
        r"a\.jpg\.txt is a YOLO label with a suffix too many: call it a\.txt",
    ),
    "coco.json": (
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"bbox": [1, 2, 3, 4]}]}',
        "coco.json is a COCO json without the list 'categories': add it",
    ),
    "bars.csv": ("file|x|y\n", r"begins with 'file\|x\|y': a table's first line must name"),
    "tabs.tsv": ("file\tx\ty\n", "begins with 'file\tx\ty': a table's first line must name"),
    "labels.zip": ("PK", "labels.zip is not looked into: unpack it"),
    "train.tfrecord": ("", "train.tfrecord is not looked into: export"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_each_is_named_with_a_way_out(tmp_path: Path, picture, text, name: str) -> None:
    content, expected = FOREIGN[name]
    picture("a.jpg")
    text(name, content)
    with pytest.raises(DetectorError, match=rf"no labels found \(.*; .*{expected}.*; expected VOC"):
        read(tmp_path)


def test_roboflow_for_pytorch_is_named(tmp_path: Path, picture, text) -> None:
    picture("train/a.jpg")
    text("train/_annotations.txt", "a.jpg 1,2,30,40,0\n")
    text("train/_classes.txt", "cat\n")
    with pytest.raises(DetectorError, match=r"'YOLOv4 PyTorch': export it from Roboflow as COCO"):
        read(tmp_path)


def test_one_file_of_many_or_of_another_format(tmp_path: Path, picture, text, voc_xml) -> None:
    picture("a.jpg")
    for name, expected in (
        (text("a.xml", voc_xml(("cat", 1, 2, 30, 40))), "one file of many: name their folder"),
        (text("a.json", LABELME), "one file of many: name their folder"),
        (text("v.xml", FOREIGN["annotations.xml"][0]), "v.xml is CVAT's XML for video"),
        (text("b.csv", "x,y\n"), "begins with 'x,y'"),
    ):
        with pytest.raises(DetectorError, match=rf"no labels found \(in this file\); .*{expected}"):
            read(name)


def test_labels_alone(tmp_path: Path, text) -> None:
    text("labels/a.txt", "0 0.5 0.5 0.25 .125\n")
    text("classes.txt", "cat\n")
    with pytest.raises(DetectorError, match=r"a\.txt is a YOLO label, but there are no pictures"):
        read(tmp_path)


def test_pictures_alone(tmp_path: Path, picture) -> None:
    picture("train/alphonso/1.jpg")
    with pytest.raises(DetectorError, match=r"pictures alone: a detector .* drawn in them; exp"):
        read(tmp_path)
    picture("train/kesar/1.jpg")
    with pytest.raises(DetectorError, match=r"sorted into folders by class have none; expected"):
        read(tmp_path)


def test_settings_of_another_program_hide_no_labels(tmp_path: Path, picture, text, voc_xml) -> None:
    """A format that is read is taken, whatever else lies about."""
    picture("a.jpg")
    text("a.xml", voc_xml(("cat", 1, 2, 30, 40)))
    text("annotations.xml", FOREIGN["annotations.xml"][0])
    text("notes.json", '{"categories": []}')
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [1]
    assert [(p.kind, p.where) for p in dataset.problems] == [("other-file", "annotations.xml")]
