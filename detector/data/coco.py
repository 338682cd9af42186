"""COCO json: one file for many pictures, as COCO, CVAT, Label Studio and Roboflow write it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.data.example import Box, Dataset, Labelled, Problem, build, finite_xyxy
from detector.data.named import named_picture
from detector.data.tree import PictureIndex, Tree, holds, read_text
from detector.errors import DetectorError

_LABELME = re.compile(rb'"shapes"\s*:\s*\[|"imagePath"\s*:')


def is_coco(path: Path) -> bool:
    """Whether a json file has COCO's three lists (captions, results and LabelMe files do not)."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    # A folder of LabelMe's files may hold gigabytes of pictures in them: not searched to the end.
    if _LABELME.search(head) and b'"images"' not in head:
        return False
    return holds(path, '"images"', '"annotations"', '"categories"')


def read_coco(tree: Tree, path: Path, pictures: PictureIndex) -> Dataset:
    """One instances json. `bbox` is x, y, w, h in pixels from 0.

    Only pictures the file lists are used: others in the same folders are counted as problems, not
    taken as negatives; nor is one whose annotations cannot be read, all of them. Labels follow the
    order of the category ids. Raises DetectorError when the file as a whole is no COCO json.
    """
    where = tree.show(path)
    content = _load(path)
    problems: list[Problem] = []
    names = _category_names(content, path, where, problems)
    shared = _shared_ids(content["images"])
    rows: dict[str, list[Box]] = {}
    spoilt: set[str] = set()  # ids of pictures with annotations that cannot be read
    known = {str(image.get("id")) for image in content["images"] if _has_id(image)}
    for number, annotation in enumerate(content["annotations"]):
        place = f"{where} annotation {_tag(annotation, number)}"
        try:
            image_id, box = _annotation(annotation, names)
            if image_id in shared:
                continue  # said once for each picture
            if image_id not in known:
                raise ValueError(f"image_id {image_id} is not among the images")
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(Problem("bad-box", place, f"{error}; left out", path))
            if isinstance(annotation, dict):
                spoilt.add(str(annotation.get("image_id")))
            continue
        rows.setdefault(image_id, []).append(box)
    found = _Found(tree, path, pictures, problems, shared, rows, spoilt)
    labelled = _pictures(content["images"], found)
    left_out = {p.path for p in problems if p.kind == "picture-left-out"}
    problems += _unlisted(labelled, left_out, pictures, tree)
    return build(labelled.values(), problems, list(dict.fromkeys(names.values())))


def _load(path: Path) -> dict[str, Any]:
    expected = "expected a COCO json with the lists images, annotations and categories"
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path}: is no whole JSON ({error}); {expected}") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DetectorError(f"{path}: no list '{key}'; {expected}")
    return dict(content)


def _tag(entry: object, number: int) -> str:
    return str(entry.get("id", f"#{number}") if isinstance(entry, dict) else f"#{number}")[:40]


def _category_names(
    content: dict[str, Any], path: Path, where: str, problems: list[Problem]
) -> dict[str, str]:
    """Category id (as text) to name, by id; ids may have gaps.

    Roboflow puts the project's name first, as the parent of all other categories: left out when
    no box uses it. Raises DetectorError for an id of two names.
    """
    found: list[tuple[int, str, str]] = []
    met: dict[str, str] = {}
    parents = set()
    for number, entry in enumerate(content["categories"]):
        name = _name(entry.get("name")) if isinstance(entry, dict) else ""
        if not name or entry.get("id") is None:
            place = f"{where} category #{number}"
            problems.append(Problem("class-names", place, "has no id or no name", path))
            continue
        key = str(entry["id"])
        if (other := met.setdefault(key, name)) != name:
            raise DetectorError(
                f"{path}: category id {key[:40]} is both '{other[:80]}' and '{name[:80]}'; "
                "expected one name for each: mend the ids, also of the annotations"
            )
        order = int(key) if re.fullmatch("-?[0-9]{1,18}", key) else number
        found.append((order, key, name))
        if str(entry.get("supercategory")) != name:
            parents.add(str(entry.get("supercategory")))
    used = {str(a.get("category_id")) for a in content["annotations"] if isinstance(a, dict)}
    return {key: n for _, key, n in sorted(found) if n not in parents or key in used}


def _name(value: object) -> str:
    """A category's name; some converters write numbers."""
    named = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value).strip() if named else ""


def _annotation(annotation: Any, names: dict[str, str]) -> tuple[str, Box]:
    """(image id, box). Raises ValueError or TypeError, saying what is wrong."""
    if not isinstance(annotation, dict):
        raise ValueError("is not an object")
    category = str(annotation.get("category_id"))
    if category not in names:
        raise ValueError(f"category_id {category} is not among the categories")
    bbox = annotation.get("bbox") or _bounds(annotation.get("segmentation"))
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"bbox is {str(bbox)[:40]}, expected [x, y, width, height]")
    x, y, width, height = (float(value) for value in bbox)
    # Some converters write the key `ignore` where VOC says difficult.
    ignore = any(str(annotation.get(key)) in ("1", "True") for key in ("iscrowd", "ignore"))
    area = annotation.get("area")
    box = Box(
        names[category],
        finite_xyxy((x, y, x + width, y + height)),
        ignore,
        float(area) if isinstance(area, (int, float)) and 0 < area < math.inf else None,
    )
    return str(annotation.get("image_id")), box


def _bounds(segmentation: Any) -> list[float] | None:
    """The box around polygons [[x, y, x, y, ...], ...], as x, y, w, h; None for anything else."""
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return None
    xs = [float(x) for polygon in segmentation for x in polygon[0::2]]
    ys = [float(y) for polygon in segmentation for y in polygon[1::2]]
    if not xs or not ys:
        return None
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


@dataclass(frozen=True)
class _Found:
    """What was read of a file. shared: see `_shared_ids`; rows: boxes by image id; spoilt: ids of
    pictures with annotations that cannot be read.
    """

    tree: Tree
    path: Path
    pictures: PictureIndex
    problems: list[Problem]
    shared: dict[str, str]
    rows: dict[str, list[Box]]
    spoilt: set[str]


def _pictures(images: list[Any], found: _Found) -> dict[Path, Labelled]:
    """Listed pictures that exist, with their boxes."""
    labelled: dict[Path, Labelled] = {}
    for number, image in enumerate(images):
        entry = image if isinstance(image, dict) else {}
        key = str(entry.get("id"))
        tag = f"#{number}" if key in found.shared else _tag(image, number)
        where = f"{found.tree.show(found.path)} image {tag}"
        name = str(entry.get("file_name") or "")
        picture = named_picture(name, found.path, found.pictures, where, found.problems)
        if isinstance(picture, str):
            message = f"{picture}; left out"
            found.problems.append(Problem("label-without-picture", where, message, found.path))
            continue
        boxes = found.rows.pop(key, [])
        if reason := _left_out(entry, key, bool(boxes), found):
            message = f"{reason}; left out"
            found.problems.append(Problem("picture-left-out", where, message, picture))
            continue
        if picture in labelled:
            message = f"'{name[:200]}' is listed twice; all its boxes are used"
            found.problems.append(Problem("duplicate-picture", where, message, picture))
            boxes = [*labelled[picture].boxes, *boxes]
        labelled[picture] = Labelled(picture, boxes, _size(entry), where)
    return labelled


def _left_out(entry: dict[str, Any], key: str, boxes: bool, found: _Found) -> str:
    """Why nobody can tell what is in a listed picture; "" where one can."""
    if not _has_id(entry):
        return "has no id, so no annotation can mean it"
    if key in found.shared:
        return f"image id {key[:40]} is used by {found.shared[key]}"
    return "none of its annotations can be read" if not boxes and key in found.spoilt else ""


def _has_id(image: object) -> bool:
    return isinstance(image, dict) and image.get("id") is not None


def _shared_ids(images: list[Any]) -> dict[str, str]:
    """Ids that several pictures have, as files joined carelessly do; with two of their names."""
    names: dict[str, dict[str, None]] = {}
    for image in filter(_has_id, images):
        names.setdefault(str(image["id"]), {})[str(image.get("file_name"))[:200]] = None
    return {key: " and ".join(list(found)[:2]) for key, found in names.items() if len(found) > 1}


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    try:
        return int(entry["width"]), int(entry["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _unlisted(
    labelled: dict[Path, Labelled], left_out: set[Path | None], pictures: PictureIndex, tree: Tree
) -> list[Problem]:
    """Pictures in the folders of listed ones that the file does not list."""
    folders = {path.parent for path in labelled}
    message = "not listed in the json; not used (list it without boxes to use it as a negative)"
    return [
        Problem("unlisted-picture", tree.show(path), message, path)
        for path in pictures.pictures
        if path.parent in folders and path not in labelled and path not in left_out
    ]
