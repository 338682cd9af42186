"""LabelMe json, as X-AnyLabeling writes it too: one file a picture, points in pixels from 0."""

from __future__ import annotations

import json
import math
import mmap
import re
from collections import Counter
from pathlib import Path
from typing import Any

from detector.data.example import Box, Dataset, Problem, build, finite_xyxy
from detector.data.outline import XYXY, Point, bounds, is_mark, told
from detector.data.own_label import OwnLabels
from detector.data.tree import MAX_LABEL_BYTES, PictureIndex, Tree, decode_text, holds

# The picture itself, base64, several MB: cut out before the text is read. A quote inside a string
# has a backslash, so only a key can match; where its text has one it is read like any other.
_PICTURE = re.compile(rb'"imageData"\s*:\s*"[^"\\]*"')


def is_labelme(path: Path) -> bool:
    """Whether a json file has LabelMe's shapes and the name of their picture."""
    return holds(path, '"imagePath"', '"shapes"')


def read_labelme(tree: Tree, pictures: PictureIndex) -> Dataset:
    """All LabelMe json files of a tree; pictures that none of them means are negatives.

    Shapes that are no rectangles are read as the upright boxes around them, and counted. A point
    has no extent: it is a bad box. A true flag or key `difficult`, `ignore` or `crowd` makes a box
    neither wanted nor wrong. A picture whose json cannot be read is left out.
    """
    found = OwnLabels(tree, pictures, "json", "imagePath")
    others: Counter[str] = Counter()
    for path in tree.having(".json"):
        content = _parse(path, found)
        if content is None:
            continue
        picture = found.picture_of(path, _text(content.get("imagePath")))
        boxes = []
        for number, shape in enumerate(content["shapes"], start=1):
            try:
                box = _box(shape, others)
            except (ValueError, OverflowError) as error:
                place = f"{tree.show(path)}, shape {number}"
                problem = Problem("bad-box", place, f"{error}; left out", picture or path)
                found.problems.append(problem)
                continue
            boxes.append(box)
        found.add(path, picture, boxes, _size(content), bool(content["shapes"]))
    return build(found.everything(), [*found.problems, *told(others, tree.root.name)])


def _parse(path: Path, found: OwnLabels) -> dict[str, Any] | None:
    """What a file holds. None for another, whose picture, where it has one, is then spoilt."""
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        found.refuse(path, f"is no whole JSON ({error})")
        return None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        found.refuse(path, "no list 'shapes'; not a LabelMe file", other=True)
        return None
    return content


def _read(path: Path) -> str:
    """The text without the picture in it. Raises ValueError when it cannot be read."""
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if len(data) > MAX_LABEL_BYTES:
                raise ValueError(f"{len(data) / 1e9:.1f} GB is too much for a label file")
            kept, start = [], 0
            for match in _PICTURE.finditer(data):
                kept += [data[start : match.start()], b'"imageData": null']
                start = match.end()
            return decode_text(b"".join([*kept, data[start:]]))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    try:
        return int(content["imageWidth"]), int(content["imageHeight"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _box(shape: Any, others: Counter[str]) -> Box:
    """One shape as a box; what it was is added to `others`. Raises ValueError, or OverflowError."""
    if not isinstance(shape, dict):
        raise ValueError("is not an object")
    label = shape.get("label")
    # A class called by a number, as some converters write it.
    name = str(label) if type(label) is int else _text(label)
    if not name:
        raise ValueError("has no label")
    kind = _text(shape.get("shape_type"))[:40] or "polygon"  # as in files of before 2018
    xyxy = _around(kind, _points(shape.get("points")))
    if kind != "rectangle":
        others[kind] += 1
    flags = shape.get("flags")
    marks = {**shape, **(flags if isinstance(flags, dict) else {})}
    return Box(name, xyxy, any(is_mark(key, value) for key, value in marks.items()))


def _points(value: Any) -> list[Point]:
    """[[x, y], ...] as numbers. Raises ValueError, or OverflowError."""
    points = value if isinstance(value, list) else [value]
    for point in points:
        pair = isinstance(point, list) and len(point) == 2
        if not pair or not all(isinstance(number, (int, float)) for number in point):
            raise ValueError(f"points hold {str(point)[:40]}, expected [x, y]")
    return [(float(x), float(y)) for x, y in points]


def _around(kind: str, points: list[Point]) -> XYXY:
    """The upright box around a shape of any kind. Raises ValueError."""
    if kind == "circle" and len(points) == 2:  # its middle, and a point on it
        (cx, cy), radius = points[0], math.dist(*points)
        return finite_xyxy((cx - radius, cy - radius, cx + radius, cy + radius))
    if kind in ("circle", "point", "points"):
        raise ValueError(f"a {kind} of {len(points)} has no extent")
    x1, y1, x2, y2 = bounds(points)
    if kind == "mask" and all(value.is_integer() for point in points for value in point):
        return x1, y1, x2 + 1, y2 + 1  # its last pixel is inside
    return x1, y1, x2, y2
