"""Every real data set loads: the counts its README states, the same boxes in each format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.data.example import Dataset, Example
from detector.data.formats import read
from detector.data.load import load_splits
from detector.data.picture_size import displayed_size
from detector.errors import DetectorError


def counts(dataset: Dataset) -> tuple[int, int, int]:
    """Pictures, boxes, classes."""
    boxes = sum(len(example.labels) for example in dataset.examples)
    return len(dataset.examples), boxes, len(dataset.class_names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coco-val-128", (128, 906, 80)),
        ("coco-train-337", (337, 2838, 80)),
        ("raccoon", (200, 217, 1)),
        ("fruit", (240, 465, 3)),
        ("mango", (54, 160, 2)),
        ("mango-orchard", (3, 19, 1)),
    ],
)
def test_counts(shared_data: Path, name: str, expected: tuple[int, int, int]) -> None:
    dataset = read(shared_data / name)
    assert counts(dataset) == expected
    assert {p.kind for p in dataset.problems} <= {"unnamed-classes"}


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("raccoon", (160, 40)), ("fruit", (192, 48)), ("mango", (45, 6))],
)
def test_own_splits(shared_data: Path, name: str, pictures: tuple[int, int]) -> None:
    splits = load_splits(shared_data / name)
    assert (len(splits["train"].examples), len(splits["val"].examples)) == pictures
    assert not splits["train"].problems


def as_rows(dataset: Dataset, example: Example) -> list[tuple[object, ...]]:
    named = zip(example.labels, example.xyxy.tolist(), strict=True)
    return sorted((dataset.class_names[label], *box) for label, box in named)


@pytest.mark.parametrize(
    ("folder", "exact"),
    [
        ("coco_format_v1", True),
        ("coco_format_v2", True),
        ("cvat_format", True),
        ("labelme_format", True),
        ("openimages_format", False),
        ("yolo_format", False),
    ],
)
def test_voc_100_has_the_same_boxes_in_each_format(
    shared_data: Path, folder: str, exact: bool
) -> None:
    ours = read(shared_data / "voc-100" / "gts" / "pascalvoc_format")
    other = read(shared_data / "voc-100" / "gts" / folder)
    assert counts(ours) == counts(other) == (100, 273, 20)
    assert sum(int(e.ignore.sum()) for e in ours.examples) == 38
    for mine, its in zip(ours.examples, other.examples, strict=True):
        assert mine.path == its.path
        left, right = as_rows(ours, mine), as_rows(other, its)
        assert [row[0] for row in left] == [row[0] for row in right]
        difference = [np.subtract(a[1:], b[1:]) for a, b in zip(left, right, strict=True)]
        assert np.abs(difference).max() <= (0 if exact else 1e-3)


def test_raccoon_has_the_same_boxes_in_xml_and_csv(shared_data: Path) -> None:
    xml, csv = read(shared_data / "raccoon"), read(shared_data / "raccoon", "csv")
    assert counts(xml) == counts(csv) == (200, 217, 1)
    for a, b in zip(xml.examples, csv.examples, strict=True):
        assert a.path == b.path
        assert as_rows(xml, a) == as_rows(csv, b)
        assert a.size_wh == b.size_wh


def test_voc_toy(shared_data: Path) -> None:
    xml = read(shared_data / "voc-toy" / "gts_vocpascal_format")
    json = read(shared_data / "voc-toy" / "gts_coco_format")
    labelled = {e.path.name: as_rows(xml, e) for e in xml.examples if len(e.labels)}
    assert len(labelled) == 9  # the tenth XML has no object
    assert sum(map(len, labelled.values())) == 12
    # Two of its twelve pictures have no XML: negatives, and counted.
    assert [p.kind for p in xml.problems] == ["picture-without-label"] * 2
    assert {e.path.name: as_rows(json, e) for e in json.examples if len(e.labels)} == labelled


def test_fruit_claims_sizes_of_zero(shared_data: Path) -> None:
    examples = read(shared_data / "fruit").examples
    # The data's README says 37; 33 files have <width>0</width>.
    assert sum(e.size_wh == (0, 0) for e in examples) == 33


def test_mango_boxes_lie_in_their_pictures(shared_data: Path) -> None:
    for example in read(shared_data / "mango").examples:
        width, height = displayed_size(example.path)
        assert (example.xyxy >= -0.5).all()
        assert (example.xyxy <= [width + 0.5, height + 0.5] * 2).all()


def test_a_folder_of_several_formats_is_refused(shared_data: Path) -> None:
    with pytest.raises(DetectorError, match=r"labels in 3 formats: voc .*coco .*yolo"):
        read(shared_data / "voc-100")
    with pytest.raises(DetectorError, match=r"no labels found \(11 \.jpg\)"):
        read(shared_data / "photos")
