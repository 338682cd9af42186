"""Ids of label files: own, renamed, merged, of several files, and unfit ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from detector.data.example import Dataset, Example
from detector.evaluation.identity import by_id, identify, kept


def dataset(*names, classes=("cat", "dog")):
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Dataset(tuple(Example(Path(n), *none, (9, 9), "") for n in names), classes)


@pytest.fixture
def table(tmp_path):
    def make(name, images, categories=((17, "cat"), (18, "dog"))):
        content = {
            "images": [{"id": i, "file_name": n} for i, n in images],
            "categories": [{"id": i, "name": n} for i, n in categories],
        }
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return make


def test_ids_are_the_files_own_and_the_rest_is_known(table):
    file = table("a.json", [(50, "x/a.jpg"), (7, "y/b.jpg"), (9, "c.jpg")])
    found = identify(dataset("/data/x/a.jpg", "/data/y/b.jpg", classes=("dog",)), [file], {})
    assert (found.images, found.categories) == ((50, 7), (18,))
    assert (found.other_images, found.other_categories) == ({9}, {17})
    assert not found.numbered


def test_renamed_and_merged_classes_keep_all_their_ids(table):
    file = table("a.json", [(1, "a.jpg")], [(1, "cat"), (2, "dog"), (3, "bird")])
    new_names = {"cat": "pet", "dog": "pet"}
    found = identify(dataset("a.jpg", classes=("pet",)), [file], new_names)
    assert {*found.categories, *found.aliases} == {1, 2}
    assert found.other_categories == {3}


def test_two_categories_of_one_name_are_one_class(table):
    file = table("a.json", [(1, "a.jpg")], [(1, "cat"), (2, "cat"), (5, "dog")])
    found = identify(dataset("a.jpg"), [file], {})
    assert {*found.categories, *found.aliases} == {1, 2, 5}
    assert not found.other_categories


def test_of_files_that_count_alike_the_one_of_these_pictures_counts(table):
    train = table("train.json", [(0, "a.jpg"), (1, "b.jpg")])
    val = table("val.json", [(0, "c.jpg"), (1, "d.jpg")])
    assert identify(dataset("d.jpg", "c.jpg"), [train, val], {}).images == (1, 0)
    both = identify(dataset("a.jpg", "c.jpg"), [train, val], {})
    assert (both.images, both.ambiguous) == ((1, 2), True)
    assert "the id 0 to both a.jpg and c.jpg" in both.numbered


def test_data_without_ids_is_numbered():
    found = identify(dataset("a.jpg", "b.jpg"), [], {})
    assert (found.images, found.categories, found.ambiguous) == ((1, 2), (1, 2), False)
    assert found.numbered == "the labels bring no ids"


def test_entries_without_id_or_name_are_passed_over(table):
    file = table("a.json", [(1, "a.jpg"), ([2], "b.jpg"), (None, "c.jpg")], [(1, "cat"), (2, "")])
    found = identify(dataset("a.jpg", classes=("cat",)), [file], {})
    assert (found.images, found.categories) == ((1,), (1,))
    assert identify(dataset("a.jpg", "b.jpg", classes=("cat",)), [file], {}).ambiguous


def test_pictures_stand_in_the_order_of_their_ids(table):
    file = table("a.json", [(50, "a.jpg"), (7, "b.jpg"), (9, "c.jpg")])
    data = dataset("a.jpg", "b.jpg", "c.jpg")
    ordered, found = by_id(data, identify(data, [file], {}))
    assert [e.path.name for e in ordered.examples] == ["b.jpg", "c.jpg", "a.jpg"]
    assert found.images == (7, 9, 50)
    assert kept(found, ordered, [Path("c.jpg"), Path("a.jpg")]).images == (9, 50)


def test_ids_that_are_words_keep_the_order_of_the_paths(table):
    file = table("a.json", [("z", "a.jpg"), ("y", "b.jpg")])
    data = dataset("a.jpg", "b.jpg")
    assert by_id(data, identify(data, [file], {}))[1].images == ("z", "y")
