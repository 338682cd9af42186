"""What is written is what is read."""

import json

import numpy as np
import pytest

from detector.errors import DetectorError
from detector.evaluation.analyse import analyse
from detector.evaluation.identity import Identity
from detector.evaluation.saved import is_whole, load, load_figures, save

NAMES = ("cat", "dog", "bird")


def test_pictures_come_back(tmp_path, random_pictures):
    pictures = random_pictures(7)
    ids = Identity(tuple(range(100, 112)), (17, 18, 16))
    save(tmp_path, pictures, analyse(pictures, NAMES), ids, {"model": "m.onnx"})
    again, names = load(tmp_path / "metrics.json")
    assert names == NAMES
    for one, other in zip(pictures, again, strict=True):
        assert one.xyxy == pytest.approx(other.xyxy)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.ignore.tolist() == other.ignore.tolist()
        assert one.found.xyxy == pytest.approx(other.found.xyxy)
        assert one.found.labels.tolist() == other.found.labels.tolist()
        assert one.found.scores == pytest.approx(other.found.scores)
    assert analyse(again, NAMES).figures == pytest.approx(
        analyse(pictures, NAMES).figures, nan_ok=True
    )
    assert sum(len(p.found) for p in again) > 10


def test_the_files_are_cocos(tmp_path, picture):
    one = picture([(1, [10, 20, 30, 60])], [(1, 0.5, [10, 20, 30, 61])], ignore=[0])
    save(tmp_path, [one], analyse([one], NAMES), Identity((139,), (1, 2, 3)), {})
    assert json.loads((tmp_path / "detections.json").read_text()) == [
        {"image_id": 139, "category_id": 2, "bbox": [10, 20, 20, 41], "score": 0.5}
    ]
    truth = json.loads((tmp_path / "truth.json").read_text())
    (box,) = truth["annotations"]
    assert (box["bbox"], box["area"], box["iscrowd"]) == ([10, 20, 20, 40], 800, 1)
    assert truth["categories"][2] == {"id": 3, "name": "bird"}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["AP"] is None  # nothing to find: the one box is to be ignored
    assert len(metrics["classes"]) == 3


@pytest.mark.parametrize("broken", ["truth.json", "detections.json"])
def test_a_folder_that_is_not_whole(tmp_path, picture, broken):
    one = picture([(0, [0, 0, 9, 9])])
    save(tmp_path, [one], analyse([one], NAMES), Identity((1,), (1, 2, 3)), {})
    (tmp_path / broken).write_text('{"images": 3}')
    with pytest.raises(DetectorError, match=r"no whole evaluation .*evaluate --out"):
        load(tmp_path)
    (tmp_path / broken).unlink()
    with pytest.raises(DetectorError, match="no whole evaluation"):
        load(tmp_path)


def test_areas_come_back(tmp_path, coco_val):
    pictures, names = coco_val
    few = pictures[:20]
    ids = Identity(tuple(range(1, 21)), tuple(range(1, 81)))
    save(tmp_path, few, analyse(few, names), ids, {})
    before = np.concatenate([p.area for p in few])
    after = np.concatenate([p.area for p in load(tmp_path)[0]])
    assert before == pytest.approx(after)
    assert len(before) > 50


def test_figures_alone(tmp_path):
    content = {"AP": 50.0, "AP50": 60.0, "AP large": None, "classes": [{"name": "cat", "AP": 50.0}]}
    file = tmp_path / "metrics.json"
    for text in (content, {"models": {"model.onnx": content, "model-int8.onnx": {}}}):
        file.write_text(json.dumps(text))
        assert not is_whole(tmp_path)
        for place in (file, tmp_path):
            figures = load_figures(place)
            assert (figures["AP"], figures["AP cat"]) == (50, 50)
            assert np.isnan(figures["AP large"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": {}}', '{"AP": 1, "classes": []}'])
def test_what_has_no_figures(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(DetectorError, match=r"no evaluation .*expected a folder"):
        load_figures(tmp_path)
