"""COCO's average precision, by pycocotools itself."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from detector.detections import Detections
from detector.errors import DetectorError

# The first six of pycocotools' twelve figures, in its order.
FIGURES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")


def coco_results(detections: Detections, image_id: int, category_ids: Sequence[int]) -> list[dict[str, object]]:
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
    """`FIGURES` in percent, for results in COCO format against a COCO annotation file."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results:
        return dict.fromkeys(FIGURES, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(list(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = np.asarray(evaluation.stats[: len(FIGURES)]) * 100
    return dict(zip(FIGURES, stats.tolist(), strict=True))


def detect_all(
    folder: Path, detect: Callable[[str], Detections], class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Results of `detect` on every picture of a COCO folder (`instances.json`, `images/`)."""
    try:
        truth = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DetectorError(
            f"{folder}: no readable instances.json ({error}); expected a COCO folder with "
            "instances.json and images/"
        ) from error
    ids = {category["name"]: category["id"] for category in truth["categories"]}
    unknown = [name for name in class_names if name not in ids]
    if unknown:
        raise DetectorError(f"{folder}: has no category {unknown[0]!r}, which the model finds")
    category_ids = [ids[name] for name in class_names]
    results = []
    for image in truth["images"]:
        found = detect(str(folder / "images" / image["file_name"]))
        results += coco_results(found, image["id"], category_ids)
    return results
