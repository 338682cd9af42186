"""COCO's average precision, by pycocotools itself."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.detections import Detections
from detector.errors import DetectorError

# The first six of pycocotools' twelve figures, in its order.
FIGURES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
# What pycocotools reads of each annotation, and fails on without a word when it is not there.
_NEEDED = {"id", "image_id", "category_id", "bbox", "area", "iscrowd"}


def coco_results(
    detections: Detections, image_id: int, category_ids: Sequence[int]
) -> list[dict[str, object]]:
    """One picture's detections in COCO's results format (xywh pixels). category_ids: by label."""
    xywh = detections.xyxy.copy()
    xywh[:, 2:] -= xywh[:, :2]
    return [
        {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
        for box, score, label in zip(
            xywh.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
        )
    ]


def coco_ap(annotations: Path, results: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """`FIGURES` in percent, for results in COCO format against a COCO annotation file.

    A figure is nan where nothing was to be found (no small box in the file, say).
    Raises DetectorError for an unreadable file, and for results on pictures that it does not list.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    dataset: Any = read_truth(annotations)
    strangers = {r["image_id"] for r in results} - {image["id"] for image in dataset["images"]}
    if strangers:
        raise DetectorError(
            f"{annotations}: does not list {len(strangers)} of the pictures in the results "
            f"(image id {min(map(str, strangers))}); expected results on its own pictures"
        )
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        # loadRes adds to the results it is given, and cannot take an empty list.
        found = truth.loadRes([dict(result) for result in results]) if results else COCO()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = np.asarray(evaluation.stats[: len(FIGURES)], np.float64)
    percent = np.where(stats < 0, np.nan, stats * 100)  # it says -1 for nothing to find
    return dict(zip(FIGURES, percent.tolist(), strict=True))


def read_truth(annotations: Path) -> dict[str, Any]:
    """The contents of a COCO annotation file; DetectorError unless it is one."""
    try:
        dataset = json.loads(annotations.read_text(encoding="utf-8"))
        lists = [dataset[key] for key in ("images", "annotations", "categories")]
        lacking = [_NEEDED - set(annotation) for annotation in lists[1]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{annotations}: not a COCO annotation file ({type(error).__name__}: {error}); "
            "expected JSON with images, annotations and categories"
        ) from error
    for index, keys in enumerate(lacking):
        if keys:
            raise DetectorError(
                f"{annotations}: annotation {index} lacks {', '.join(sorted(keys))}; "
                f"expected {', '.join(sorted(_NEEDED))}"
            )
    assert isinstance(dataset, dict)  # only a dict can be indexed by "images"
    return dataset


def detect_all(
    folder: Path, detect: Callable[[str], Detections], class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Results of `detect` on every picture of a COCO folder (`instances.json`, `images/`).

    class_names: the model's, in label order; the folder may have more categories. Raises
    DetectorError when it lacks one of them, has no pictures, or one of its pictures cannot be read.
    """
    truth = read_truth(folder / "instances.json")
    ids = {category["name"]: category["id"] for category in truth["categories"]}
    unknown = [name for name in class_names if name not in ids]
    if unknown:
        raise DetectorError(
            f"{folder / 'instances.json'}: has no category {unknown[0]!r}, which the model finds; "
            f"expected all {len(class_names)} of the model's, {len(unknown)} are missing"
        )
    if not truth["images"]:
        raise DetectorError(f"{folder / 'instances.json'}: lists no images; expected at least one")
    category_ids = [ids[name] for name in class_names]
    results = []
    for image in truth["images"]:
        found = detect(str(folder / "images" / image["file_name"]))
        results += coco_results(found, image["id"], category_ids)
    return results
