"""Detections that somebody else made, in COCO's results format."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.data.example import Dataset
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.analysis import Picture
from detector.evaluation.identity import Identity
from detector.evaluation.run import labelled

MAX_BYTES = 1_000_000_000  # as JSON; its objects take ten times as much memory
EXPECTED = "expected a JSON list of {image_id, category_id, bbox: [x, y, width, height], score}"


@dataclass(frozen=True)
class Results:
    """Pictures with somebody's detections. left_out: counts of detections by why."""

    pictures: list[Picture]
    left_out: Counter[str]


def read_results(
    path: Path, data: Dataset, identity: Identity, sizes_wh: Sequence[tuple[int, int]]
) -> Results:
    """Put the detections of a results file beside the truth.

    sizes_wh: of the pictures. Detections of pictures and classes that the label files know but
    this part of the data does not are left out, and counted. Raises DetectorError for a file that
    is no such list or too large, and for an entry that makes no sense.
    """
    image_of = {key: n for n, key in enumerate(identity.images)}
    label_of = {key: n for n, key in enumerate(identity.categories)}
    rows: list[list[tuple[int, float, list[float]]]] = [[] for _ in identity.images]
    left_out: Counter[str] = Counter()
    for number, entry in enumerate(read_list(path)):
        where = f"{path}: result {number}"
        bbox, score = _checked(entry, where)
        image, category = entry["image_id"], entry["category_id"]
        if image in identity.other_images or category in identity.other_categories:
            left_out["of pictures or classes outside this part of the data"] += 1
            continue
        if image not in image_of:
            raise DetectorError(f"{where}: image_id {image!r} is none of {_some(identity.images)}")
        if category not in label_of:
            raise DetectorError(
                f"{where}: category_id {category!r} is none of {_some(identity.categories)}"
            )
        rows[image_of[image]].append((label_of[category], score, bbox))
    pictures = [
        labelled(example, size_wh, ranked(found, data.class_names))
        for example, size_wh, found in zip(data.examples, sizes_wh, rows, strict=True)
    ]
    return Results(pictures, left_out)


def read_list(path: Path) -> list[Any]:
    """The list in a results file; what it cannot be is seen before it is read whole."""
    try:
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        size = path.stat().st_size
        if start != b"[":
            shown = start.decode("ascii", "replace") or "nothing"
            raise DetectorError(
                f"{path}: not a list of results ({size / 1e6:.1f} MB that begin with {shown!r}); "
                f"{EXPECTED}"
            )
        if size > MAX_BYTES:
            raise DetectorError(
                f"{path}: {size / 1e9:.1f} GB are more than fit in memory; expected at most "
                f"{MAX_BYTES / 1e9:.0f} GB: keep the 100 best detections of each picture"
            )
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DetectorError(f"{path}: cannot be read ({error.strerror}); {EXPECTED}") from error
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path}: not JSON ({error}); {EXPECTED}") from error
    assert isinstance(content, list)  # it begins with a bracket
    return content


def _checked(entry: Any, where: str) -> tuple[list[float], float]:
    """xyxy and score of one result; DetectorError for what makes no sense."""
    if not isinstance(entry, dict):
        raise DetectorError(f"{where}: is {str(entry)[:40]}; {EXPECTED}")
    for key in ("image_id", "category_id", "bbox", "score"):
        if not isinstance(entry.get(key), list if key == "bbox" else (int, float, str)):
            raise DetectorError(f"{where}: {key} is {str(entry.get(key))[:40]}; {EXPECTED}")
    score, bbox = entry["score"], entry["bbox"]
    if not _is_number(score):
        raise DetectorError(f"{where}: score is {score!r}; expected a number")
    if len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise DetectorError(f"{where}: bbox is {str(bbox)[:60]}; expected four numbers")
    x, y, width, height = map(float, bbox)
    if width < 0 or height < 0:
        raise DetectorError(
            f"{where}: bbox is {str(bbox)[:60]}, of negative width or height; "
            "expected [x, y, width, height], not two corners"
        )
    return [x, y, x + width, y + height], float(score)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _some(ids: Sequence[object]) -> str:
    shown = ", ".join(str(key) for key in ids[:5])
    return f"{shown}, ... ({len(ids)} in all)" if len(ids) > 5 else shown


def ranked(
    rows: Sequence[tuple[int, float, Sequence[float]]], class_names: tuple[str, ...]
) -> Detections:
    """Detections by falling score, from (label, score, xyxy) each."""
    rows = sorted(rows, key=lambda row: -row[1])
    return Detections(
        np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for label, _, _ in rows], np.int64),
        class_names,
    )
