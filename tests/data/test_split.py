"""Our own split: seeded, balanced, and nothing leaks through near duplicates."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.formats import read
from detector.data.split import choose_val, split_dataset, thinned


def test_mango_copies_stay_together(shared_data: Path) -> None:
    train_folder = read(shared_data / "mango", split="train")
    train, val = split_dataset(train_folder, 0.2)
    photographs = [{e.path.name.split(".rf.")[0] for e in part.examples} for part in (train, val)]
    assert len(train.examples) + len(val.examples) == 45
    assert len(val.examples) == 9
    assert not photographs[0] & photographs[1]


@pytest.mark.slow
def test_raccoon_duplicates_stay_together_in_any_seed(shared_data: Path) -> None:
    dataset = read(shared_data / "raccoon")
    pairs = [(11, 116), (120, 83), (21, 45), (50, 52), (50, 74), (51, 85), (65, 98)]
    vals = []
    for seed in range(5):
        train, val = split_dataset(dataset, 0.2, seed)
        inside = {e.path.stem for e in val.examples}
        for a, b in pairs:
            assert (f"raccoon-{a}" in inside) == (f"raccoon-{b}" in inside)
        assert 36 <= len(inside) <= 44
        assert 38 <= val.class_counts()[0] <= 49
        assert len(train.examples) == 200 - len(inside)
        vals.append(inside)
    assert len({frozenset(val) for val in vals}) == 5
    again = split_dataset(dataset, 0.2, 3)[1]
    assert {e.path.stem for e in again.examples} == vals[3]


def test_coco_classes_are_balanced_and_all_in_train(shared_data: Path) -> None:
    train, val = split_dataset(read(shared_data / "coco-val-128"), 0.2)
    together, apart = train.class_counts() + val.class_counts(), val.class_counts()
    assert (train.class_counts()[together > 0] > 0).all()
    frequent = together >= 15
    assert frequent.sum() >= 10
    assert np.abs(apart[frequent] / together[frequent] - 0.2).mean() < 0.12
    assert 22 <= len(val.examples) <= 30


def test_one_group_is_split_all_the_same_and_told(tmp_path: Path, picture, text) -> None:
    for i in range(5):
        picture(f"{i}.jpg", seed=1)
        text(f"{i}.txt", "0 0.5 0.5 0.5 0.5")
    train, val = split_dataset(read(tmp_path), 0.2)
    assert (len(train.examples), len(val.examples)) == (4, 1)
    assert any("near duplicates" in p.message for p in train.problems)


def test_unreadable_pictures_stay_in_train(tmp_path: Path, picture, text, voc_xml) -> None:
    for i in range(6):
        picture(f"{i}.jpg", seed=i)
        text(f"{i}.xml", voc_xml(("cat", 1, 2, 3, 4)))
    for i in (0, 1, 2):
        text(f"{i}.jpg", b"\xff\xd8\xff broken")
    train, val = split_dataset(read(tmp_path), 0.5)
    assert {e.path.stem for e in train.examples} >= {"0", "1", "2"}
    assert val.examples
    assert [p.where for p in train.problems] == ["0.jpg", "1.jpg", "2.jpg"]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=20),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_any_groups_and_counts(sizes: list[int], fraction: float, seed: int, data) -> None:
    n = sum(sizes)
    flat = data.draw(st.lists(st.integers(0, 4), min_size=3 * n, max_size=3 * n))
    boxes = np.array(flat, float).reshape(n, 3)
    counts = np.column_stack([boxes, boxes.sum(1) == 0, np.ones(n)])
    edges = np.cumsum([0, *sizes])
    groups = [list(range(a, b)) for a, b in pairwise(edges)]
    val = choose_val(groups, counts, fraction, seed)
    assert 0 < len(val) < n
    for group in groups:
        assert len(val & set(group)) in (0, len(group))
    assert val == choose_val(groups, counts, fraction, seed)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures(tmp_path: Path, picture, text, count: int) -> None:
    from detector.data.example import Dataset
    from detector.errors import DetectorError

    picture("a.jpg")
    text("a.txt", "0 0.5 0.5 0.5 0.5")
    dataset = read(tmp_path)
    few = Dataset(dataset.examples[:count], dataset.class_names)
    with pytest.raises(DetectorError, match=rf"^{count} pictures? cannot be split"):
        split_dataset(few, 0.2)


@given(st.integers(1, 50), st.integers(1, 60))
def test_thinned_is_even_and_in_order(count: int, most: int) -> None:
    numbers = thinned(list(range(count)), most)
    assert len(numbers) == min(count, most)
    assert numbers == sorted(set(numbers))
    gaps = {b - a for a, b in pairwise([*numbers, count])}
    assert not numbers or (numbers[0] == 0 and max(gaps) - min(gaps) <= 1)
