"""Detections that somebody else made, in COCO's results format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detector.data.coco import is_coco
from detector.data.example import MAX_COORDINATE, Dataset, Example
from detector.data.tree import fold, split_path
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.analysis import Picture
from detector.evaluation.identity import Id, Identity, listed
from detector.evaluation.run import labelled

MAX_BYTES = 1_000_000_000  # as JSON; its objects take ten times as much memory
MAX_SCORE = 1e6  # float32 holds it; logits are far below
EXPECTED = "expected a JSON list of {image_id, category_id, bbox: [x, y, width, height], score}"
OUTSIDE = "of pictures or classes outside this part of the data"
Row = tuple[int, float, list[float]]  # label, score, xyxy


@dataclass(frozen=True)
class Results:
    """Pictures with somebody's detections. left_out: counts of detections by why. notes: what a
    user should know of how the file was read.
    """

    pictures: list[Picture]
    left_out: Counter[str]
    notes: list[str]


@dataclass(frozen=True)
class Ids:
    """What the ids of a results file mean: numbers of pictures and labels, None for those that this
    part of the data leaves out.
    """

    images: Mapping[Id, int | None]
    categories: Mapping[Id, int | None]


def read_results(
    path: Path, data: Dataset, identity: Identity, sizes_wh: Sequence[tuple[int, int]]
) -> Results:
    """Put the detections of a results file beside the truth.

    sizes_wh: of the pictures. The file is COCO's list of results, or a whole COCO json whose
    annotations have scores: its pictures and classes are matched by name. Detections of pictures
    and classes that the label files know but this part of the data does not are left out, and
    counted. Raises DetectorError for a file that is neither or too large, and for an entry that
    makes no sense.
    """
    content, notes = read_json(path), []
    if isinstance(content, dict):
        ids, entries = _named_ids(content, data, path), content["annotations"]
    else:
        ids, entries = _own_ids(data, identity, path), content
        if identity.numbered:
            notes.append(
                f"{identity.numbered}: image_id is taken to count the pictures from 1 by their "
                f"paths, category_id the classes: {_some(data.class_names)}"
            )
    rows: list[list[Row]] = [[] for _ in data.examples]
    left_out: Counter[str] = Counter()
    for number, entry in enumerate(entries):
        where = f"{path}: result {number}"
        xyxy, score = _checked(entry, where)
        image = _meant(entry, "image_id", ids.images, where)
        label = _meant(entry, "category_id", ids.categories, where)
        if image is None or label is None:
            left_out[OUTSIDE] += 1
        else:
            rows[image].append((label, score, xyxy))
    pictures = [
        _beside(example, size_wh, found, data.class_names)
        for example, size_wh, found in zip(data.examples, sizes_wh, rows, strict=True)
    ]
    return Results(pictures, left_out, notes)


def _beside(
    example: Example, size_wh: tuple[int, int], found: list[Row], class_names: tuple[str, ...]
) -> Picture:
    found.sort(key=lambda row: -row[1])  # stable: equal scores stay in the file's order
    exact = np.array([[*box, score] for _, score, box in found], np.float64).reshape(-1, 5)
    return replace(labelled(example, size_wh, ranked(found, class_names)), exact=exact)


def _own_ids(data: Dataset, identity: Identity, path: Path) -> Ids:
    """The ids of the label files; a picture's file name does as well."""
    if identity.ambiguous:
        raise DetectorError(
            f"{path}: what its image_id means cannot be told, since {identity.numbered}; name one "
            "label file with --data, or give a COCO json with images and categories of its own"
        )
    images: dict[Id, int | None] = dict.fromkeys(identity.other_images)
    for name in ("stem", "name"):
        images |= {getattr(e.path, name): n for n, e in enumerate(data.examples)}
    images |= {key: n for n, key in enumerate(identity.images)}
    categories: dict[Id, int | None] = dict.fromkeys(identity.other_categories)
    own = {key: n for n, key in enumerate(identity.categories)}
    return Ids(images, {**categories, **identity.aliases, **own})


def _named_ids(content: dict[str, Any], data: Dataset, path: Path) -> Ids:
    """The ids of the file's own images and categories, by their names in the data."""
    times = Counter(fold(example.path.name) for example in data.examples)
    number = {name: n for n, e in enumerate(data.examples) if times[name := fold(e.path.name)] == 1}
    label = {name: n for n, name in enumerate(data.class_names)}
    images = {
        key: number.get(fold((split_path(name) or [""])[-1]))
        for key, name in listed(content["images"], "file_name")
    }
    categories = {key: label.get(name) for key, name in listed(content["categories"], "name")}
    for what, meant, known in (("picture", images, number), ("class", categories, label)):
        if all(value is None for value in meant.values()):
            raise DetectorError(
                f"{path}: not one {what} that it lists is in the data; expected some of "
                f"{_some(list(known))}"
            )
    return Ids(images, categories)


def _meant(entry: dict[str, Any], key: str, known: Mapping[Id, int | None], where: str) -> Any:
    if entry[key] not in known:
        ids = [one for one, meant in known.items() if meant is not None]
        ids = [one for one in ids if not isinstance(one, str)] or ids
        raise DetectorError(f"{where}: {key} {repr(entry[key])[:40]} is none of {_some(ids)}")
    return known[entry[key]]


def read_json(path: Path) -> list[Any] | dict[str, Any]:
    """What a results file holds; what it cannot be is seen before it is read whole."""
    try:
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        size = path.stat().st_size
        if start != b"[" and not (start == b"{" and size <= MAX_BYTES and is_coco(path)):
            raise DetectorError(_no_list(path, size, start))
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
    if isinstance(content, list):
        return content
    lists = [content.get(key) for key in ("images", "annotations", "categories")]
    if not all(isinstance(one, list) for one in lists):
        raise DetectorError(_no_list(path, size, start))
    return dict(content)


def _no_list(path: Path, size: int, start: bytes) -> str:
    shown = repr(start.decode("ascii", "replace")) if start else "nothing"
    return (
        f"{path}: not a list of results ({size / 1e6:.1f} MB that begin with {shown}); {EXPECTED}, "
        "or a COCO json with such annotations"
    )


def _checked(entry: Any, where: str) -> tuple[list[float], float]:
    """xyxy and score of one result; DetectorError for what makes no sense."""
    if not isinstance(entry, dict):
        raise DetectorError(f"{where}: is {str(entry)[:40]}; {EXPECTED}")
    for key in ("image_id", "category_id", "bbox", "score"):
        if not isinstance(entry.get(key), list if key == "bbox" else (int, float, str)):
            raise DetectorError(f"{where}: {key} is {str(entry.get(key))[:40]}; {EXPECTED}")
    score, bbox = entry["score"], entry["bbox"]
    if not _is_number(score, MAX_SCORE):
        raise DetectorError(f"{where}: score is {repr(score)[:40]}; expected a number in 0..1")
    if len(bbox) != 4 or not all(_is_number(value, MAX_COORDINATE) for value in bbox):
        raise DetectorError(f"{where}: bbox is {str(bbox)[:60]}; expected four numbers, in pixels")
    x, y, width, height = map(float, bbox)
    if width < 0 or height < 0:
        raise DetectorError(
            f"{where}: bbox is {str(bbox)[:60]}, of negative width or height; "
            "expected [x, y, width, height], not two corners"
        )
    return [x, y, x + width, y + height], float(score)


def _is_number(value: object, most: float) -> bool:
    """Whether it is one, and neither nan nor beyond what makes sense."""
    return isinstance(value, (int, float)) and value is not True and abs(value) <= most


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
