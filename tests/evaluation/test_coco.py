"""COCO's AP: the reference figures, the corner cases, and what the embedded models reach."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from detector.classes import COCO_CATEGORY_IDS
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.coco import FIGURES, coco_ap, coco_results, detect_all
from detector.predictor import Detector

SHARED = Path(__file__).parents[2].parent / "shared"
VAL = SHARED / "data" / "coco-val-128"
REFERENCE = SHARED / "reference" / "coco_val_128_detections.json"

needs_val = pytest.mark.skipif(
    not (VAL.is_dir() and REFERENCE.is_file()),
    reason="../shared/data/coco-val-128 or its reference detections are absent",
)


def box(number: int, image: int, category: int, xywh: list[float]) -> dict[str, object]:
    area = xywh[2] * xywh[3]
    return {"id": number, "image_id": image, "category_id": category, "bbox": xywh, "area": area,
            "iscrowd": 0}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures: a cat of 100x100 in one, a dog of 50x50 in the other; nothing small."""
    truth = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
        "categories": [
            {"id": 18, "name": "dog"},
            {"id": 17, "name": "cat"},
            {"id": 3, "name": "x"},
        ],
        "annotations": [box(1, 7, 17, [10, 20, 100, 100]), box(2, 9, 18, [0, 0, 50, 50])],
    }
    (tmp_path / "instances.json").write_text(json.dumps(truth))
    return tmp_path


def found(xyxy: list[float], score: float, label: int) -> Detections:
    return Detections(
        np.array([xyxy], np.float32),
        np.array([score], np.float32),
        np.array([label]),
        ("cat", "dog"),
    )


def right(path: str) -> Detections:
    if path.endswith("a.jpg"):
        return found([10, 20, 110, 120], 0.9, 0)
    return found([0, 0, 50, 50], 0.8, 1)


@needs_val
def test_reference_detections_give_the_reference_figures() -> None:
    results = json.loads(REFERENCE.read_text())
    figures = coco_ap(VAL / "instances.json", results)
    assert tuple(figures) == FIGURES
    assert [round(v, 1) for v in figures.values()] == [37.6, 54.5, 40.4, 5.5, 22.3, 64.2]


def test_everything_found_is_100(folder: Path) -> None:
    figures = coco_ap(folder / "instances.json", detect_all(folder, right, ("cat", "dog")))
    assert figures["AP"] == pytest.approx(100)
    assert figures["AP medium"] == pytest.approx(100)
    assert math.isnan(figures["AP small"])  # nothing small to find is not zero


def test_labels_become_category_ids_and_corners_become_sides(folder: Path) -> None:
    results = detect_all(folder, right, ("cat", "dog"))
    assert results == [
        {"image_id": 7, "category_id": 17, "bbox": [10, 20, 100, 100], "score": pytest.approx(0.9)},
        {"image_id": 9, "category_id": 18, "bbox": [0, 0, 50, 50], "score": pytest.approx(0.8)},
    ]


def test_swapped_labels_find_nothing(folder: Path) -> None:
    assert coco_ap(folder / "instances.json", detect_all(folder, right, ("dog", "cat")))["AP"] == 0


def test_a_loose_box_counts_at_50_and_not_at_75(folder: Path) -> None:
    def loose(path: str) -> Detections:
        return found([10, 20, 110, 85], 0.9, 0) if path.endswith("a.jpg") else right(path)

    figures = coco_ap(folder / "instances.json", detect_all(folder, loose, ("cat", "dog")))
    assert figures["AP50"] == pytest.approx(100)  # IoU 0.65
    assert figures["AP75"] == pytest.approx(50)


def test_no_detections(folder: Path) -> None:
    empty = Detections.empty(("cat", "dog"))
    results = detect_all(folder, lambda _: empty, ("cat", "dog"))
    assert results == []
    figures = coco_ap(folder / "instances.json", results)
    assert (figures["AP"], figures["AP large"]) == (0, 0)
    assert math.isnan(figures["AP small"])


def test_results_handed_in_stay_as_they_are(folder: Path) -> None:
    results = coco_results(right("a.jpg"), 7, [17, 18])
    before = [dict(result) for result in results]
    coco_ap(folder / "instances.json", results)
    assert results == before


def test_results_on_a_picture_that_is_not_there(folder: Path) -> None:
    results = coco_results(right("a.jpg"), 1234, [17, 18])
    with pytest.raises(DetectorError, match=r"instances\.json: does not list 1 .*image id 1234"):
        coco_ap(folder / "instances.json", results)


def test_no_instances_json(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"instances\.json: not a COCO annotation file"):
        detect_all(tmp_path, right, ("cat",))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"images": []}', '{"images": 3}'])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.json").write_text(text)
    with pytest.raises(DetectorError, match="expected JSON with images, annotations and cat"):
        coco_ap(tmp_path / "instances.json", [])


def test_an_annotation_that_lacks_its_area(folder: Path) -> None:
    truth = json.loads((folder / "instances.json").read_text())
    del truth["annotations"][1]["area"]
    (folder / "instances.json").write_text(json.dumps(truth))
    with pytest.raises(DetectorError, match="annotation 1 lacks area"):
        coco_ap(folder / "instances.json", [])


def test_a_category_the_folder_lacks(folder: Path) -> None:
    with pytest.raises(DetectorError, match=r"has no category 'bird'.* 1 are missing"):
        detect_all(folder, right, ("cat", "dog", "bird"))


def test_a_folder_without_pictures(folder: Path) -> None:
    truth = json.loads((folder / "instances.json").read_text())
    (folder / "instances.json").write_text(json.dumps({**truth, "images": []}))
    with pytest.raises(DetectorError, match="lists no images"):
        detect_all(folder, right, ("cat", "dog"))


@needs_val
def test_category_ids_are_the_val_sets() -> None:
    categories = json.loads((VAL / "instances.json").read_text())["categories"]
    assert tuple(c["id"] for c in categories) == COCO_CATEGORY_IDS


@needs_val
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("precision", "least"), [("float", 37.5), ("int8", 37.2)])
def test_the_embedded_models_are_as_good_as_promised(
    engine: str, precision: str, least: float
) -> None:
    detector = Detector(engine=engine, precision=precision, score=0.001)
    results = detect_all(VAL, detector, detector.class_names)
    assert coco_ap(VAL / "instances.json", results)["AP"] >= least
