"""The boxes of a VOC XML file, in edges counted from 0.

Where pixels start. VOC's own files count pixels from 1 and name the last one inside, so the edges
are (xmin - 1, ymin - 1, xmax, ymax). labelImg and the exporters write edges counted from 0
(labelImg raises a 0 to 1). So 1 is subtracted in the VOCdevkit layout (`Annotations` beside
`ImageSets`), nowhere else, unless `first_pixel` says otherwise. CVAT uses that layout, too, and
counts from 0: where a box of such a folder begins at 0 (or 0.5), all of them are left as they are.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from detector.data.account import counted
from detector.data.example import Box, Labelled, Problem, finite_xyxy
from detector.data.tree import Tree

_TRUE = frozenset({"1", "true", "yes"})


def read_boxes(root: ET.Element, path: Path, where: str, problems: list[Problem]) -> list[Box]:
    """The objects that have a name and four numbers, as these stand; the others are problems."""
    boxes = []
    for number, node in enumerate(root.iter("object"), start=1):
        place = f"{where}, object {number}"
        try:
            name = text_of(node, "name")
            if not name:
                raise ValueError("has no class name")
            corners = ("xmin", "ymin", "xmax", "ymax")
            xyxy = finite_xyxy(_number(node, f"bndbox/{tag}") for tag in corners)
        except ValueError as error:
            problems.append(Problem("bad-box", place, f"{error}; left out", path))
            continue
        boxes.append(Box(name, xyxy, text_of(node, "difficult").lower() in _TRUE))
    return boxes


def origin_of(
    folder: Path,
    labelled: Sequence[Labelled],
    first_pixel: int | None,
    tree: Tree,
    problems: list[Problem],
) -> int:
    """What a folder's coordinates count from, see this module's docstring; problems are added."""
    devkit = folder.name == "Annotations" and (folder.parent / "ImageSets").is_dir()
    origin = int(devkit) if first_pixel is None else first_pixel
    # A negative edge shows a box drawn over the border, whatever the count.
    below = [p for p in labelled if any(0 <= v < origin for b in p.boxes for v in b.xyxy[:2])]
    if not below:
        return origin
    if first_pixel is None:
        message = (
            f"boxes begin at pixel 0 in {counted(len(below), 'picture')}, the first "
            f"{below[0].path.name}, so all are taken to count from 0; if not, set first_pixel: 1"
        )
        problems.append(Problem("from-zero", tree.show(folder), message))
        return 0
    for item in below:
        message = "a coordinate is below 1, but VOC counts from 1; set first_pixel: 0"
        problems.append(Problem("zero-based", item.source, message, item.path))
    return origin


def from_zero(item: Labelled, origin: int) -> Labelled:
    """A picture's boxes as zero-based edges: the last pixel inside is where the edge is, from 1."""
    if not origin:
        return item
    boxes = [
        box._replace(xyxy=(box.xyxy[0] - 1, box.xyxy[1] - 1, *box.xyxy[2:])) for box in item.boxes
    ]
    return item._replace(boxes=boxes)


def read_size(root: ET.Element) -> tuple[int, int] | None:
    """The size tag as it stands, 0 included; None when missing or no number."""
    try:
        return int(_number(root, "size/width")), int(_number(root, "size/height"))
    except (ValueError, OverflowError):
        return None


def text_of(node: ET.Element, tag: str) -> str:
    """What stands in a tag below `node`; "" when it is missing or empty."""
    return (node.findtext(tag) or "").strip()


def _number(node: ET.Element, tag: str) -> float:
    text = text_of(node, tag)
    try:
        return float(text)
    except ValueError:
        what = f"holds '{text[:40]}', expected a number" if text else "is missing"
        raise ValueError(f"{tag} {what}") from None
