"""CVAT's own XML ("CVAT for images 1.1"): one file for many pictures, in pixels from 0."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detector.data.cvat_shapes import read_shape
from detector.data.example import Box, Dataset, Labelled, Problem, build, natural_key
from detector.data.named import named_picture, unlisted
from detector.data.outline import told
from detector.data.split_sources import Splits, split_of
from detector.data.tree import PictureIndex, Tree, fold, holds, read_text
from detector.data.xml_safe import children
from detector.errors import DetectorError

_EXPECTED = "expected 'CVAT for images 1.1'"
_IMAGE = re.compile(r"<image\s[^<>]*>")
_SUBSET = re.compile(r"""\ssubset=["']([^"'<>/\\]{1,80})["']""")
NO_SUBSET = "(none)"  # as a subset's name in a path: images without one


def is_cvat(path: Path) -> bool:
    """Whether an XML file has CVAT's root and lists images; those of videos list tracks."""
    return holds(path, "<annotations", "<image ")


def subset_splits(files: Sequence[Path]) -> Splits:
    """Subsets of a CVAT project called train, val or test, each as a path `annotations.xml/Train`.

    Images without a subset, of tasks that nobody assigned, are for training where others have one.
    Files that cannot be read have none; whoever reads them whole says why.
    """
    splits: Splits = {}
    for path in files:
        try:
            images = _IMAGE.findall(read_text(path))
        except ValueError:
            continue
        named = [match[1] if (match := _SUBSET.search(image)) else "" for image in images]
        known = {name: split for name in dict.fromkeys(named) if (split := split_of(name))}
        if known and "" in named:
            known[NO_SUBSET] = "train"
        for name, split in known.items():
            splits[split] = (*splits.get(split, ()), path / name)
    return splits


@dataclass
class _Found:
    """What was read so far. other: listed pictures that are left out, or of other subsets."""

    tree: Tree
    path: Path
    pictures: PictureIndex
    problems: list[Problem] = field(default_factory=list)
    labelled: dict[Path, Labelled] = field(default_factory=dict)
    other: set[Path] = field(default_factory=set)
    shapes: Counter[str] = field(default_factory=Counter)


def read_cvat(tree: Tree, path: Path, pictures: PictureIndex, subset: str | None = None) -> Dataset:
    """One XML, or one subset of it. Classes are those that boxes have, in the task's order.

    Shapes that are no upright boxes are read as those around them, and counted; points and
    skeletons have no outline: bad boxes. Tags are of whole pictures, and not read. Only pictures
    the file lists are used. Raises DetectorError for a file that cannot be read whole, and for
    tracks of a video.
    """
    found = _Found(tree, path, pictures)
    names: list[str] = []
    tags: Counter[str] = Counter()
    for node in _nodes(path):
        tags[node.tag] += 1
        if node.tag == "meta":
            names += [(label.findtext("name") or "").strip() for label in node.iter("label")]
        elif node.tag == "image":
            _read_image(node, subset, found)
    if not tags["image"]:
        raise DetectorError(f"{path}: {_no_images(tags['track'])}")
    where = tree.show(path)
    if tags["track"]:
        message = f"{tags['track']} tracks of a video are not read; {_EXPECTED}"
        found.problems.append(Problem("bad-label-file", where, message))
    message = f"not listed in {path.name}; not used (list it without boxes to make it a negative)"
    known = {*found.labelled, *found.other}
    found.problems += [*told(found.shapes, where), *unlisted(known, pictures, tree, message)]
    used = {box.name for item in found.labelled.values() for box in item.boxes}
    order = [*(n for n in dict.fromkeys(names) if n in used), *sorted(used, key=natural_key)]
    return build(found.labelled.values(), found.problems, list(dict.fromkeys(order)))


def _nodes(path: Path) -> Iterator[ET.Element]:
    try:
        yield from children(read_text(path), "annotations")
    except ValueError as error:
        raise DetectorError(f"{path}: {error}; {_EXPECTED}") from None


def _no_images(tracks: int) -> str:
    if not tracks:
        return f"lists no <image>; {_EXPECTED}"
    return (
        f"is 'CVAT for video' ({tracks} tracks), which is not read: export the task from CVAT as "
        "'CVAT for images 1.1', with images"
    )


def _read_image(node: ET.Element, subset: str | None, found: _Found) -> None:
    """Add a listed picture with its boxes, or why it is left out."""
    name, own = node.get("name", ""), node.get("subset", "")
    where = f"{found.tree.show(found.path)} image {name[:200] or node.get('id', '')[:20]}"
    mine = subset is None or fold(own) == fold("" if subset == NO_SUBSET else subset)
    said: list[Problem] = []
    # Pictures of a project lie in a folder for each subset.
    picture = named_picture(
        f"{own}/{name}" if own and name else name, found.path, found.pictures, where, said
    )
    if not mine:
        if isinstance(picture, Path):
            found.other.add(picture)
            if own and split_of(own) is None:
                message = f"of subset '{own[:80]}', which is neither train, val nor test; not used"
                found.problems.append(Problem("unlisted-picture", where, message, picture))
        return
    found.problems += said
    if isinstance(picture, str):
        # Problems about the file carry no path: a split keeps those about its own pictures.
        found.problems.append(Problem("label-without-picture", where, f"{picture}; left out"))
        return
    boxes: list[Box] = []
    shapes = [shape for shape in node if shape.tag != "tag"]
    for number, shape in enumerate(shapes, start=1):
        try:
            box = read_shape(shape, found.shapes)
        except ValueError as error:
            place = f"{where}, {shape.tag[:20]} (shape {number})"
            found.problems.append(Problem("bad-box", place, f"{error}; left out", picture))
            continue
        boxes.append(box)
    if shapes and not boxes:
        message = "none of its shapes can be read; left out"
        found.problems.append(Problem("picture-left-out", where, message, picture))
        found.other.add(picture)
        return
    if picture in found.labelled:
        message = f"'{name[:200]}' is listed twice; all its boxes are used"
        found.problems.append(Problem("duplicate-picture", where, message, picture))
        boxes = [*found.labelled[picture].boxes, *boxes]
    found.labelled[picture] = Labelled(picture, boxes, _size(node), where)


def _size(node: ET.Element) -> tuple[int, int] | None:
    try:
        return int(float(node.get("width", ""))), int(float(node.get("height", "")))
    except (ValueError, OverflowError):
        return None
