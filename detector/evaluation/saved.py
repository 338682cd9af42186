"""An evaluation on disk: figures, detections and the truth they were held against."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.analysis import Analysis, Float64, Picture
from detector.evaluation.coco import FIGURES as COCO_FIGURES
from detector.evaluation.identity import Id, Identity
from detector.evaluation.metrics import as_metrics
from detector.evaluation.table import as_written, as_xywh, exact_found
from detector.evaluation.voc import FIGURES as VOC_FIGURES
from detector.outfile import write_whole

METRICS, DETECTIONS, TRUTH = "metrics.json", "detections.json", "truth.json"
OPTION = "--out"


def save(
    folder: Path,
    pictures: Sequence[Picture],
    analysis: Analysis,
    ids: Identity,
    about: Mapping[str, object],
) -> None:
    """Write metrics.json, and detections.json and truth.json in COCO's format.

    ids: of the pictures and labels. about: further facts for metrics.json. DetectorError where
    something cannot be written.
    """
    names = [one.name for one in analysis.classes]
    _write_rows(folder / DETECTIONS, _found_rows(pictures, ids))
    truth = {
        "images": [
            {"id": i, "file_name": p.path.name, "width": p.size_wh[0], "height": p.size_wh[1]}
            for i, p in zip(ids.images, pictures, strict=True)
        ],
        "annotations": list(_truth_rows(pictures, ids)),
        "categories": [{"id": i, "name": n} for i, n in zip(ids.categories, names, strict=True)],
    }
    write_whole(folder / TRUTH, json.dumps(truth, ensure_ascii=False).encode(), OPTION)
    content = {**about, "pictures": analysis.pictures, **as_metrics(analysis)}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / METRICS, text.encode(), OPTION)


def load(place: Path) -> tuple[list[Picture], tuple[str, ...]]:
    """Pictures and class names of an evaluation's folder, or of the metrics.json in it.

    Raises DetectorError when one of its files is missing or is not what `save` writes.
    """
    folder = place if place.is_dir() else place.parent
    try:
        truth, found = (json.loads((folder / n).read_bytes()) for n in (TRUTH, DETECTIONS))
        names = tuple(str(category["name"]) for category in truth["categories"])
        label_of = {category["id"]: n for n, category in enumerate(truth["categories"])}
        boxes = _by_image(truth["annotations"], label_of)
        results = _by_image(found, label_of)
        return [
            _picture(image, boxes.get(image["id"], []), results.get(image["id"], []), names)
            for image in truth["images"]
        ], names
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{place}: no whole evaluation ({type(error).__name__}: {error}); expected a folder "
            "that `detector evaluate --out` wrote, or its metrics.json"
        ) from error


def is_whole(place: Path) -> bool:
    """Whether a folder, or the folder of the metrics.json named, has what `load` needs."""
    if not place.is_dir() and place.name not in (METRICS, DETECTIONS, TRUTH):
        return False
    folder = place if place.is_dir() else place.parent
    return all((folder / name).is_file() for name in (TRUTH, DETECTIONS))


def load_figures(place: Path) -> dict[str, float]:
    """Percentages of a metrics.json, or of the one in a folder: by name, those of classes as
    "AP cat"; of a training run those of its first model file. nan for what is null.

    Raises DetectorError for a file that is none.
    """
    path = place / METRICS if place.is_dir() else place
    try:
        content = json.loads(path.read_bytes())
        if "models" in content:
            content = next(iter(content["models"].values()))
        figures = {name: content[name] for name in (*COCO_FIGURES, *VOC_FIGURES) if name in content}
        figures |= {f"AP {one['name']}": one["AP"] for one in content["classes"]}
        figures["AP"], figures["AP50"]
        return {k: float("nan") if v is None else float(v) for k, v in figures.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DetectorError(
            f"{place}: no evaluation ({type(error).__name__}: {str(error)[:80]}); expected a "
            "folder that `detector evaluate --out` or `detector train` wrote, a metrics.json, or "
            "with --data a results file"
        ) from error


def _found_rows(pictures: Sequence[Picture], ids: Identity) -> Iterable[dict[str, object]]:
    for image_id, picture in zip(ids.images, pictures, strict=True):
        exact = exact_found(picture)
        # Of float32 as many digits as tell it from its neighbours, so that ties stay ties.
        short = picture.found.scores.astype(str).astype(np.float64)
        scores = (short if picture.exact is None else exact[:, 4]).tolist()
        columns = (as_xywh(exact[:, :4]).tolist(), scores, picture.found.labels.tolist())
        for box, score, label in zip(*columns, strict=True):
            yield {
                "image_id": image_id,
                "category_id": ids.categories[label],
                "bbox": box,
                "score": score,
            }


def _truth_rows(pictures: Sequence[Picture], ids: Identity) -> Iterable[dict[str, object]]:
    number = 0
    for image_id, picture in zip(ids.images, pictures, strict=True):
        boxes = as_xywh(as_written(picture.xyxy)).tolist()
        areas = [w * h for _, _, w, h in boxes] if picture.area is None else picture.area.tolist()
        columns = (boxes, areas, picture.labels.tolist(), picture.ignore.tolist())
        for box, area, label, ignore in zip(*columns, strict=True):
            number += 1
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": ids.categories[label],
                "bbox": box,
                "area": area,
                "iscrowd": int(ignore),
            }


def _write_rows(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """A list of many small objects, one a line: never all of them as objects at once."""
    lines = (json.dumps(row) for row in rows)
    write_whole(path, ("[" + ",\n".join(lines) + "]\n").encode(), OPTION)


def _by_image(rows: Any, label_of: dict[Id, int]) -> dict[Id, list[tuple[int, Any]]]:
    found: dict[Id, list[tuple[int, Any]]] = {}
    for row in rows:
        found.setdefault(row["image_id"], []).append((label_of[row["category_id"]], row))
    return found


def _picture(
    image: Any, truth: list[tuple[int, Any]], found: list[tuple[int, Any]], names: tuple[str, ...]
) -> Picture:
    xyxy, scores = _xyxy(found), np.array([row["score"] for _, row in found], np.float64)
    detections = Detections(
        xyxy.astype(np.float32),
        scores.astype(np.float32),
        np.array([label for label, _ in found], np.int64),
        names,
    )
    return Picture(
        Path(image["file_name"]),
        (image["width"], image["height"]),
        _xyxy(truth).astype(np.float32),
        np.array([label for label, _ in truth], np.int64),
        np.array([row["iscrowd"] for _, row in truth], np.bool_),
        detections,
        np.array([row["area"] for _, row in truth], np.float32),
        np.concatenate([xyxy, scores[:, None]], axis=1),
    )


def _xyxy(rows: list[tuple[int, Any]]) -> Float64:
    boxes = np.array([row["bbox"] for _, row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
