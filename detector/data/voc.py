"""PASCAL VOC XML: one file a picture, as VOCdevkit, labelImg, CVAT and Roboflow lay it out.

Where pixels start. VOC's own files count pixels from 1 and name the last one inside, so the edges
are (xmin - 1, ymin - 1, xmax, ymax). labelImg and the exporters write edges counted from 0
(labelImg raises a 0 to 1). So 1 is subtracted in the VOCdevkit layout (`Annotations` beside
`ImageSets`), nowhere else, unless `first_pixel` says otherwise.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping
from pathlib import Path

from detector.data.example import Box, Dataset, Labelled, Problem, build, finite_xyxy
from detector.data.tree import (
    PictureIndex,
    Tree,
    nearest,
    read_text,
    split_path,
    split_unlabelled,
    the_one,
)
from detector.data.xml_safe import parse_xml

_TRUE = frozenset({"1", "true", "yes"})


def is_voc(path: Path) -> bool:
    """Whether an XML file begins like a VOC annotation. CVAT's plural `<annotations>` does not."""
    try:
        with path.open("rb") as file:
            head = file.read(2048).replace(b"\0", b"")  # UTF-16 of plain letters
    except OSError:
        return False
    return b"<annotation>" in head or b"<annotation " in head


def read_voc(tree: Tree, pictures: PictureIndex, first_pixel: int | None = None) -> Dataset:
    """All VOC XML files of a tree; pictures that none of them means are negatives.

    A picture whose XML cannot be read, or has objects of which none can, is left out: as a negative
    it would teach that nothing is there.

    first_pixel: 1 when coordinates count from 1, 0 from 0, None as the module's docstring says.
    """
    problems: list[Problem] = []
    labelled: dict[Path, Labelled] = {}
    spoilt: dict[Path, str] = {}  # pictures, and whose labels for them cannot be used
    for xml in tree.having(".xml"):
        where = tree.show(xml)
        try:
            root = parse_xml(read_text(xml))
            if root.tag != "annotation":
                raise ValueError(f"holds <{root.tag}>, expected <annotation>; not a VOC file")
        except ValueError as error:
            problems.append(Problem("bad-label-file", where, str(error), xml))
            spoilt |= dict.fromkeys(nearest(xml, pictures.by_stem(xml.stem)), where)
            continue
        path = _picture(root, xml, where, pictures, problems, spoilt)
        origin = _origin(xml) if first_pixel is None else first_pixel
        boxes = _boxes(root, origin, path or xml, where, problems)
        if path is not None and not boxes and root.find("object") is not None:
            spoilt[path] = where
        elif path in labelled:
            message = f"means {path.name}, as {labelled[path].source} does; only that one is used"
            problems.append(Problem("duplicate-picture", where, message, xml))
        elif path is not None:
            labelled[path] = Labelled(path, boxes, _size(root), where)
    negatives = _unlabelled(tree, pictures, labelled, spoilt, problems)
    return build([*labelled.values(), *negatives], problems)


def _unlabelled(
    tree: Tree,
    pictures: PictureIndex,
    labelled: Collection[Path],
    spoilt: Mapping[Path, str],
    problems: list[Problem],
) -> list[Labelled]:
    """The negatives; they, what was spoilt and what is not used become problems."""
    for path in [path for path in spoilt if path not in labelled]:
        message = f"{spoilt[path]} has no labels for it that can be read; left out"
        problems.append(Problem("picture-left-out", tree.show(path), message, path))
    negatives, strangers = split_unlabelled(tree, pictures.pictures, [*labelled, *spoilt])
    for path in negatives:
        message = "no XML means this picture; used as one without objects"
        problems.append(Problem("picture-without-label", tree.show(path), message, path))
    for path in strangers:
        message = "no XML means this picture or another of its folder; not used"
        problems.append(Problem("unlisted-picture", tree.show(path), message, path))
    return [Labelled(path, (), None, "") for path in negatives]


def _origin(xml: Path) -> int:
    return int(xml.parent.name == "Annotations" and (xml.parent.parent / "ImageSets").is_dir())


def _boxes(
    root: ET.Element, origin: int, path: Path, where: str, problems: list[Problem]
) -> list[Box]:
    """The objects that have a name and four numbers; the others become problems."""
    boxes = []
    for number, node in enumerate(root.findall("object"), start=1):
        place = f"{where}, object {number}"
        try:
            name = _text(node, "name")
            if not name:
                raise ValueError("has no class name")
            corner = [_number(node, f"bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")]
            if origin and min(corner[:2]) < origin:
                message = "a coordinate is below 1, but VOC counts from 1; set first_pixel: 0"
                problems.append(Problem("zero-based", place, message, path))
            x1, y1, x2, y2 = corner
            xyxy = finite_xyxy((x1 - origin, y1 - origin, x2, y2))
        except ValueError as error:
            problems.append(Problem("bad-box", place, f"{error}; left out", path))
            continue
        boxes.append(Box(name, xyxy, _text(node, "difficult").lower() in _TRUE))
    return boxes


def _picture(
    root: ET.Element,
    xml: Path,
    where: str,
    pictures: PictureIndex,
    problems: list[Problem],
    spoilt: dict[Path, str],
) -> Path | None:
    """The picture an XML means: of the same stem and nearest, else of its `filename`.

    The stem wins, because files get renamed and copied while their `filename` stays behind. None
    when there is none, or several that differ: those are then `spoilt`.
    """
    tag = _text(root, "filename")
    same_stem = nearest(xml, pictures.by_stem(xml.stem))
    named = nearest(xml, pictures.by_name(tag)) if tag else []
    found = [path for path in same_stem if path in named] or same_stem or named
    if not found:
        message = f"no picture '{xml.stem}.*' nor '{tag}' found; left out"
        problems.append(Problem("label-without-picture", where, message, xml))
        return None
    if the_one(found) is None:
        message = f"may mean {len(found)} different pictures, such as {found[0]}; left out"
        problems.append(Problem("label-without-picture", where, message, xml))
        spoilt |= dict.fromkeys(found, where)
        return None
    if len(found) > 1:
        message = f"{len(found)} pictures are equally near; took {found[0].name}"
        problems.append(Problem("duplicate-picture", where, message, found[0]))
    if tag and (split_path(tag) or [""])[-1] != found[0].name:
        message = f"filename says '{tag}', took {found[0].name}"
        problems.append(Problem("wrong-filename", where, message, found[0]))
    return found[0]


def _size(root: ET.Element) -> tuple[int, int] | None:
    """The size tag as it stands, 0 included; None when missing or no number."""
    try:
        return int(_number(root, "size/width")), int(_number(root, "size/height"))
    except (ValueError, OverflowError):
        return None


def _text(node: ET.Element, tag: str) -> str:
    return (node.findtext(tag) or "").strip()


def _number(node: ET.Element, tag: str) -> float:
    text = _text(node, tag)
    try:
        return float(text)
    except ValueError:
        what = f"holds '{text[:40]}', expected a number" if text else "is missing"
        raise ValueError(f"{tag} {what}") from None
