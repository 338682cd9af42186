"""Data to judge by: which pictures, under which ids, with which notes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.data.load import load_judged
from detector.errors import DetectorError
from detector.evaluation.judged import class_notes, judge_file, open_data

BOX = [5, 5, 20, 30]


@pytest.fixture
def write(tmp_path):
    """write({"train/a": [17], ...}, pictures=True): one COCO json, categories 17 cat and 18 dog."""

    def make(labels, pictures=True, name="instances.json", **changes):
        content = {"images": [], "annotations": []}
        content["categories"] = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
        for number, (stem, classes) in enumerate(labels.items(), start=1):
            size = {"width": 64, "height": 48}
            content["images"].append({"id": 10 * number, "file_name": f"{stem}.png", **size})
            for k in classes:
                row = {"image_id": 10 * number, "category_id": k, "bbox": BOX, "area": 600}
                content["annotations"].append({"id": len(content["annotations"]) + 1, **row})
            if pictures:
                path = tmp_path / f"{stem}.png"
                path.parent.mkdir(exist_ok=True)
                image = np.full((48, 64, 3), 10 * number, np.uint8)
                path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        path = tmp_path / name
        path.write_text(json.dumps({**content, **changes}))
        return path

    return make


def found(path, *rows):
    keys = ("image_id", "category_id", "score")
    path.write_text(json.dumps([{**dict(zip(keys, r, strict=True)), "bbox": BOX} for r in rows]))
    return path


def test_data_without_splits_is_judged_whole(write):
    judged = load_judged(write({f"{n}": [17 + n % 2] for n in range(10)}))
    assert (judged.split, judged.whole, len(judged.dataset.examples)) == ("all", True, 10)
    part = load_judged(judged.card.path, "val")
    assert (part.split, part.whole, len(part.dataset.examples)) == ("val", False, 2)


def test_a_split_of_its_own_is_judged_by_default(write, tmp_path):
    write({"train/a": [17, 18], "train/b": [17], "val/c": [17]})
    chosen = [load_judged(tmp_path, split) for split in (None, "train", "all")]
    assert [(j.split, len(j.dataset.examples)) for j in chosen] == [
        *(("val", 1), ("train", 2), ("all", 3))
    ]
    assert not any(judged.whole for judged in chosen)
    with pytest.raises(DetectorError, match="no split 'test'; it has train, val and all"):
        load_judged(tmp_path, "test")


def test_a_card_that_merges_classes_takes_the_results_of_both(write, tmp_path):
    file = write({"a": [17], "b": [18]})
    card = tmp_path / "card.yaml"
    card.write_text(f"root: {file}\nclasses:\n  rename: {{cat: pet, dog: pet}}\n")
    data = open_data(card, "all")
    judged = judge_file(found(tmp_path / "r.json", (10, 17, 0.9), (20, 18, 0.8)), data)
    assert [picture.found.names for picture in judged.pictures] == [["pet"], ["pet"]]
    assert not judged.notes


def test_a_dropped_class_is_counted(write, tmp_path):
    file = write({"a": [17], "b": [18]})
    card = tmp_path / "card.yaml"
    card.write_text(f"root: {file}\nclasses:\n  drop: [dog]\n")
    rows = found(tmp_path / "r.json", (10, 17, 0.9), (20, 18, 0.8))
    judged = judge_file(rows, open_data(card, "all"))
    assert judged.notes == [
        "left out: 1 detection of pictures or classes outside this part of the data"
    ]


def test_a_json_alone_is_enough_for_a_results_file(write, tmp_path):
    file = write({"a": [17], "b": [18], "c": []}, pictures=False)
    rows = found(tmp_path / "r.json", (10, 17, 0.9), (30, 18, 80))
    judged = judge_file(rows, open_data(file, None, unseen=True))
    assert [len(picture.found) for picture in judged.pictures] == [1, 0, 1]
    assert judged.pictures[2].size_wh == (64, 48)
    assert judged.notes[0].startswith("scores go up to 80")
    with pytest.raises(DetectorError, match="labels but no pictures"):
        open_data(file, None)


def test_a_json_alone_without_boxes(write):
    file = write({"a": []}, pictures=False)
    with pytest.raises(DetectorError, match="1 picture but no ground truth"):
        open_data(file, None, unseen=True)
    odd = [{"id": 1, "image_id": 10, "category_id": 99, "bbox": BOX}]
    file = write({"a": []}, pictures=False, annotations=odd)
    with pytest.raises(DetectorError, match="category_id 99 is not among the categories"):
        open_data(file, None, unseen=True)


def test_boxes_that_nothing_can_find_are_told(write):
    boxes = [BOX, [1, 1, 0, 5], [9, 9, -3, 5]]
    rows = [
        {"id": n, "image_id": 10, "category_id": 17, "bbox": box}
        for n, box in enumerate(boxes, start=1)
    ]
    data = open_data(write({"a": []}, annotations=rows), "all")
    assert "left out: 1 labelled box of negative width or height" in data.notes
    assert "1 labelled box without area: counted as missed" in data.notes


def test_pictures_of_one_id_cannot_be_told_apart(write, tmp_path):
    ids = {"a.png": 1, "b.png": 1, "c.png": 2}
    images = [{"id": n, "file_name": name, "width": 9, "height": 9} for name, n in ids.items()]
    rows = [{"id": n, "image_id": n, "category_id": 17, "bbox": BOX} for n in (1, 2)]
    file = write({"a": [17], "b": [17], "c": [17]}, images=images, annotations=rows)
    with pytest.raises(DetectorError, match=r"image_id means cannot be told.* id 1 to both a\.png"):
        judge_file(found(tmp_path / "r.json", (1, 17, 0.9)), open_data(file, None, unseen=True))


def test_class_notes(write):
    data = open_data(write({"a": [17], "b": [18]}), "all").dataset
    assert class_notes(("cat", "dog"), data, 0) == []
    assert "does not know 1 class of the data" in class_notes(("cat",), data, 0)[0]
    assert "3 detections left out (bird)" in class_notes(("cat", "dog", "bird"), data, 3)[0]
    with pytest.raises(DetectorError, match="no name in common"):
        class_notes(("bird",), data, 0)


def test_the_shared_results_of_voc_are_matched_by_name():
    root = Path(__file__).parents[2].parent / "shared" / "data" / "voc-100"
    if not root.is_dir():
        pytest.skip("../shared/data/voc-100 is absent")
    data = open_data(root / "gts" / "pascalvoc_format", None)
    judged = judge_file(root / "dets" / "coco_format" / "coco_dets.json", data)
    assert sum(len(picture.found) for picture in judged.pictures) == 452
    assert not judged.notes
