"""Somebody's results file: every way it can be wrong is one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from detector.data.example import Dataset, Example
from detector.errors import DetectorError
from detector.evaluation import results
from detector.evaluation.identity import Identity
from detector.evaluation.results import read_json, read_results

GOOD = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.5}
IDS = Identity((7, 9), (3, 5), frozenset({11}), frozenset({6}))


@pytest.fixture
def data():
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    examples = [Example(Path(name), *none, (64, 48), "") for name in ("a.jpg", "b.jpg")]
    return Dataset(tuple(examples), ("cat", "dog"))


@pytest.fixture
def read(data, tmp_path):
    def from_rows(rows):
        path = tmp_path / "results.json"
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        return read_results(path, data, IDS, [(64, 48)] * 2)

    return from_rows


def test_results_stand_beside_their_pictures_best_first(read):
    rows = [GOOD, {**GOOD, "score": 0.9, "category_id": 5}, {**GOOD, "image_id": 9}]
    found = read(rows)
    first, second = found.pictures
    assert first.found.names == ["dog", "cat"]
    assert first.found.xyxy[0].tolist() == [1, 2, 31, 42]
    assert len(second.found) == 1
    assert not found.left_out


def test_an_empty_list_finds_nothing(read):
    assert [len(p.found) for p in read([]).pictures] == [0, 0]
    assert [len(p.found) for p in read("\ufeff \n []").pictures] == [0, 0]


def test_other_splits_and_dropped_classes_are_counted(read):
    found = read([GOOD, {**GOOD, "image_id": 11}, {**GOOD, "category_id": 6}])
    assert sum(found.left_out.values()) == 2
    assert len(found.pictures[0].found) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, "result 1: image_id 8 is none of 7, 9"),
        ({"category_id": 1}, "result 1: category_id 1 is none of 3, 5"),
        ({"score": float("nan")}, "score is nan; expected a number"),
        ({"score": "high"}, "score is 'high'; expected a number"),
        ({"score": None}, "score is None; expected a JSON list"),
        ({"bbox": [1, 2, -30, 40]}, "negative width or height; expected .* not two corners"),
        ({"bbox": [1, 2, 3]}, "expected four numbers"),
        ({"bbox": [1, 2, 3, float("inf")]}, "expected four numbers"),
        ({"score": True}, "score is True; expected a number"),
        ({"score": 10**400}, "expected a number"),
        ({"bbox": [1, 2, 3, 1e9]}, "expected four numbers, in pixels"),
        ({"image_id": [7]}, r"image_id is \[7\]; expected"),
        ({"bbox": "1 2 3 4"}, "bbox is 1 2 3 4; expected a JSON list"),
    ],
)
def test_entries_that_make_no_sense(read, change, message):
    with pytest.raises(DetectorError, match=message):
        read([GOOD, {**GOOD, **change}])


@pytest.mark.parametrize("text", ["", "{}", '{"annotations": []}', "null", "17", "\x89PNG"])
def test_what_is_no_list(read, text):
    with pytest.raises(DetectorError, match="not a list of results"):
        read(text)


@pytest.mark.parametrize("text", ["[1, 2", "[17]", "[" * 100_000])
def test_what_only_begins_like_one(read, text):
    with pytest.raises(DetectorError, match="expected a JSON list of"):
        read(text)


@pytest.mark.parametrize(("start", "message"), [(b"{", "not a list"), (b"[", "more than fit")])
def test_two_gigabytes_are_not_read(tmp_path, monkeypatch, start, message):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2_000_000_000)  # sparse: takes no room

    def never(self):
        pytest.fail("read whole")

    monkeypatch.setattr(Path, "read_bytes", never)
    with pytest.raises(DetectorError, match=f"{message}.*expected"):
        read_json(path)
    assert path.stat().st_size > results.MAX_BYTES


def test_a_missing_file(tmp_path):
    with pytest.raises(DetectorError, match=r"no\.json: cannot be read"):
        read_json(tmp_path / "no.json")


@pytest.fixture
def read_whole(data, tmp_path):
    """read_whole(images, categories, annotations): a COCO json whose boxes have scores."""

    def make(images, categories, annotations):
        path = tmp_path / "whole.json"
        content = {"images": images, "categories": categories, "annotations": annotations}
        path.write_text(json.dumps(content))
        return read_results(path, data, IDS, [(64, 48)] * 2)

    return make


DOG = {"id": 0, "name": "dog"}


def test_a_whole_json_is_matched_by_names(read_whole):
    images = [{"id": 0, "file_name": "x/B.JPG"}, {"id": 1, "file_name": "z.jpg"}]
    rows = [{"image_id": i, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5} for i in (0, 1)]
    found = read_whole(images, [DOG], rows)
    assert [p.found.names for p in found.pictures] == [[], ["dog"]]
    assert sum(found.left_out.values()) == 1


@pytest.mark.parametrize(
    ("images", "categories", "message"),
    [
        ([{"id": 0, "file_name": "z.jpg"}], [DOG], "not one picture .* some of a.jpg, b.jpg"),
        ([{"id": 0, "file_name": "a.jpg"}], [], "not one class .* some of cat, dog"),
    ],
)
def test_a_whole_json_of_other_data(read_whole, images, categories, message):
    with pytest.raises(DetectorError, match=message):
        read_whole(images, categories, [])


def test_truth_given_as_detections_has_no_scores(read_whole):
    row = {"image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4]}
    with pytest.raises(DetectorError, match="result 0: score is None"):
        read_whole([{"id": 0, "file_name": "a.jpg"}], [DOG], [row])


def test_file_names_do_as_ids_and_other_digits_are_kept(read):
    close = [
        {**GOOD, "image_id": name, "score": s} for name, s in (("a", 0.9), ("a.jpg", 0.9 + 1e-12))
    ]
    found = read(close).pictures[0]
    assert len(found.found) == 2
    assert found.exact[:, 4].tolist() == [0.9 + 1e-12, 0.9]


def test_numbers_of_data_without_ids_are_told(data, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{**GOOD, "image_id": 2, "category_id": 1}]))
    ids = Identity((1, 2), (1, 2), numbered="the labels bring no ids")
    found = read_results(path, data, ids, [(64, 48)] * 2)
    assert found.pictures[1].found.names == ["cat"]
    assert "image_id is taken to count the pictures from 1" in found.notes[0]
