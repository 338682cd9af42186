"""YOLO text labels: `class cx cy w h` in fractions of the picture, one file a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from detector.data.class_lists import name_files
from detector.data.example import Box, Dataset, Labelled, Problem, build, finite_xyxy, natural_key
from detector.data.picture_size import displayed_size
from detector.data.same_picture import the_one
from detector.data.tree import (
    HEIC_SUFFIXES,
    PictureIndex,
    Tree,
    fold,
    nearest,
    read_text,
    split_unlabelled,
)
from detector.data.yolo_names import YoloHead, read_head, yaml_heads

# Fractions a little past the edge are rounding or a box drawn over it; these are pixels.
_MAX_FRACTION = 4.0
_NOT_LABELS = ("readme", "license", "requirements", "train", "val", "valid", "test", "trainval")


def is_yolo(tree: Tree, pictures: PictureIndex) -> bool:
    """Whether a picture's name has a text file of rows, or a data.yaml names classes."""
    texts = [path for path in label_files(tree) if pictures.by_stem(path.stem)]
    if any(_looks_like_rows(path) for path in texts[:20]):
        return True
    # All-empty labels (no objects anywhere) still count where a data.yaml stands by.
    return bool(pictures.pictures and yaml_heads(tree))


def has_blank_labels(tree: Tree, pictures: PictureIndex) -> bool:
    """Whether there are label files, all of them empty: a set nobody has drawn a box in yet."""
    texts = [path for path in label_files(tree) if pictures.by_stem(path.stem)]
    return bool(texts) and not any(path.stat().st_size for path in texts)


def _looks_like_rows(path: Path) -> bool:
    try:
        first = next((line for line in read_text(path).splitlines() if line.strip()), "")
        return len(first.split()) >= 5 and all(float(v) is not None for v in first.split())
    except ValueError:
        return False


def label_files(tree: Tree) -> list[Path]:
    """Text files that may hold rows: not those with class names, lists or prose."""
    names = set(name_files(tree))
    return [
        path
        for path in tree.having(".txt")
        if path not in names and not fold(path.name).startswith("readme.")
        # `val.txt` is a list of pictures, unless it has the rows of `val.jpg`.
        if fold(path.stem) not in _NOT_LABELS or _looks_like_rows(path)
    ]


def head_of(tree: Tree, pictures: PictureIndex) -> YoloHead:
    """What names the classes of all label files, and the splits of data.yaml."""
    return _head(tree, pictures, label_files(tree))


def _head(tree: Tree, pictures: PictureIndex, texts: Sequence[Path]) -> YoloHead:
    return read_head(tree, {path.parent for path in texts if pictures.by_stem(path.stem)})


def read_yolo(tree: Tree, pictures: PictureIndex) -> Dataset:
    """All pictures of a tree with their rows; a picture without a label file is a negative.

    A picture's label is the file of its stem that is nearest: `images/a/1.jpg` has
    `labels/a/1.txt`, else beside it. Sizes come from the pictures: fractions mean nothing without.
    """
    texts = label_files(tree)
    head = _head(tree, pictures, texts)
    problems = list(head.problems)
    labels: dict[str, list[Path]] = {}
    for path in texts:
        labels.setdefault(fold(path.stem), []).append(path)
    own = {picture: _own_labels(picture, labels, pictures) for picture in pictures.pictures}
    _, strangers = split_unlabelled(tree, own, (path for path, mine in own.items() if mine))
    for path in strangers:
        message = "no label file means this picture or another of its folder; not used"
        problems.append(Problem("unlisted-picture", tree.show(path), message, path))
        del own[path]
    labelled = []
    for picture, mine in own.items():
        item = _read_picture(tree, picture, mine, pictures, head, problems)
        if item is not None:
            labelled.append(item)
    used = {path for mine in own.values() for path in mine}
    folders = {path.parent for path in used}
    for path in texts:
        if path not in used and (path.parent in folders or "labels" in tree.show(path).split("/")):
            message = f"no picture '{path.stem}.*' found; left out"
            here = pictures.by_stem(path.stem)
            if heic := next((p for p in here if p.suffix.lower() in HEIC_SUFFIXES), None):
                message = f"{heic.name} cannot be decoded here; save it as JPEG; left out"
            problems.append(Problem("label-without-picture", tree.show(path), message, path))
    names = head.names
    if names is None:
        names = tuple(sorted({b.name for p in labelled for b in p.boxes}, key=natural_key))
        message = "no data.yaml or classes.txt names the classes; they are called by number"
        problems.append(Problem("unnamed-classes", tree.root.name, message))
    return build(labelled, problems, names)


def _own_labels(picture: Path, labels: dict[str, list[Path]], pictures: PictureIndex) -> list[Path]:
    """Label files that are nearest to a picture, and to which no other picture is nearer."""
    found = nearest(picture, labels.get(fold(picture.stem), []))
    return [path for path in found if picture in _meant(path, pictures)]


def _meant(label: Path, pictures: PictureIndex) -> list[Path]:
    """Pictures a label file may mean: the nearest, and of those `images/` goes with `labels/`.

    So `labels/1.txt` is about `images/1.jpg`, and not about `masks/1.png`.
    """
    found = nearest(label, pictures.by_stem(label.stem))
    here = [fold(part) for part in label.parent.parts]
    twin = ["images" if part == "labels" else part for part in here]
    return [p for p in found if [fold(part) for part in p.parent.parts] == twin] or found


def _read_picture(
    tree: Tree,
    picture: Path,
    labels: Sequence[Path],
    pictures: PictureIndex,
    head: YoloHead,
    problems: list[Problem],
) -> Labelled | None:
    """One picture with its rows; None when its size cannot be told, or no row can be read."""
    try:
        size_wh = displayed_size(picture)
    except ValueError as error:
        problems.append(Problem("unreadable-picture", tree.show(picture), str(error), picture))
        return None
    if not labels:
        message = "has no label file; used as a picture without objects"
        problems.append(Problem("picture-without-label", tree.show(picture), message, picture))
        return Labelled(picture, (), None, "")
    if len(labels) > 1:
        message = f"{len(labels)} label files are equally near; took {labels[0].name}"
        problems.append(Problem("duplicate-picture", tree.show(picture), message, picture))
    where = tree.show(labels[0])
    rivals = _meant(labels[0], pictures)
    if the_one(rivals) is None:
        message = f"{where} may mean {len(rivals)} different pictures; left out"
        problems.append(Problem("picture-left-out", tree.show(picture), message, picture))
        return None
    boxes, whole = _read_rows(labels[0], where, size_wh, picture, head, problems)
    if not boxes and not whole:
        message = f"no row of {where} can be read; left out"
        problems.append(Problem("picture-left-out", tree.show(picture), message, picture))
        return None
    # YOLO says nothing of the size, so nothing can contradict the picture.
    return Labelled(picture, boxes, None, where)


def _read_rows(
    label: Path,
    where: str,
    size_wh: tuple[int, int],
    picture: Path,
    head: YoloHead,
    problems: list[Problem],
) -> tuple[list[Box], bool]:
    """The rows of a label file that are boxes, and whether that is all of them."""
    boxes: list[Box] = []
    names = head.names_for(label)
    try:
        lines = read_text(label).splitlines()
    except ValueError as error:
        problems.append(Problem("bad-label-file", where, str(error), picture))
        return boxes, False
    whole = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            boxes.append(parse_row(line, size_wh, names, head.keypoints))
        except (ValueError, OverflowError) as error:
            whole = False
            place, message = f"{where}, line {number}", f"{error}; left out"
            problems.append(Problem("bad-box", place, message, picture))
    return boxes, whole


def parse_row(
    line: str, size_wh: tuple[int, int], names: Sequence[str] | None, keypoints: bool = False
) -> Box:
    """One row: a box, a box with a score, a box with key points, or a polygon (its bounds count).

    Raises ValueError, saying what is wrong.
    """
    fields = line.split()
    values = [float(field) for field in fields]
    label = int(values[0]) if math.isfinite(values[0]) else -1
    if label != values[0] or label < 0:
        raise ValueError(f"class '{fields[0]}' is no number 0, 1, ...")
    if names is not None and label >= len(names):
        raise ValueError(f"class {label}, but only {len(names)} are named")
    if len(values) < 5:
        raise ValueError(f"{len(values)} numbers, expected class cx cy w h")
    count = len(values) - 1
    if count >= 6 and count % 2 == 0 and not keypoints:
        xs, ys = values[1::2], values[2::2]
        edges = (min(xs), min(ys), max(xs), max(ys))
    elif keypoints or count in (4, 5) or (count - 4) % 3 == 0:
        cx, cy, w, h = values[1:5]
        edges = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    else:
        raise ValueError(f"{len(values)} numbers are neither a box nor a polygon")
    if not all(abs(edge) <= _MAX_FRACTION for edge in edges):
        raise ValueError(f"'{line.strip()[:60]}' is not in fractions 0..1 of the picture")
    name = str(label) if names is None else names[label]
    width, height = size_wh
    x1, y1, x2, y2 = edges
    return Box(name, finite_xyxy((x1 * width, y1 * height, x2 * width, y2 * height)))
