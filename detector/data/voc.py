"""PASCAL VOC XML: one file a picture, as VOCdevkit, labelImg, CVAT and Roboflow lay it out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping
from pathlib import Path

from detector.data.example import Dataset, Labelled, Problem, build
from detector.data.tree import (
    PictureIndex,
    Tree,
    nearest,
    read_text,
    split_path,
    split_unlabelled,
    the_one,
)
from detector.data.voc_boxes import from_zero, origin_of, read_boxes, read_size, text_of
from detector.data.xml_safe import parse_xml


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

    first_pixel: 1 when coordinates count from 1, 0 from 0, None as `voc_boxes` tells.
    """
    problems: list[Problem] = []
    labelled: dict[Path, Labelled] = {}
    folders: dict[Path, list[Path]] = {}  # of XML files, and the pictures that those are about
    spoilt: dict[Path, str] = {}  # pictures, and whose labels for them cannot be used
    for xml in tree.having(".xml"):
        where = tree.show(xml)
        root = _parse(xml, where, pictures, problems, spoilt)
        if root is None:
            continue
        path = _picture(root, xml, where, pictures, problems, spoilt)
        boxes = read_boxes(root, path or xml, where, problems)
        if path is not None and not boxes and root.find("object") is not None:
            spoilt[path] = where
        elif path in labelled:
            message = f"means {path.name}, as {labelled[path].source} does; only that one is used"
            problems.append(Problem("duplicate-picture", where, message, xml))
        elif path is not None:
            labelled[path] = Labelled(path, boxes, read_size(root), where)
            folders.setdefault(xml.parent, []).append(path)
    for folder, paths in folders.items():
        mine = [labelled[path] for path in paths]
        origin = origin_of(folder, mine, first_pixel, tree, problems)
        labelled |= {item.path: from_zero(item, origin) for item in mine}
    negatives = _unlabelled(tree, pictures, labelled, spoilt, problems)
    return build([*labelled.values(), *negatives], problems)


def _parse(
    xml: Path,
    where: str,
    pictures: PictureIndex,
    problems: list[Problem],
    spoilt: dict[Path, str],
) -> ET.Element | None:
    """The root of a VOC file. None for another, whose picture, where it has one, is then `spoilt`.

    CVAT's `annotations.xml` or a program's settings may lie about: they mean no picture.
    """
    own = nearest(xml, pictures.by_stem(xml.stem))
    try:
        root = parse_xml(read_text(xml))
        if root.tag == "annotation":
            return root
        kind = "bad-label-file" if own else "other-file"
        message = f"holds <{root.tag[:40]}>, expected <annotation>; not a VOC file"
        problems.append(Problem(kind, where, message, xml))
    except ValueError as error:
        problems.append(Problem("bad-label-file", where, str(error), xml))
    spoilt |= dict.fromkeys(own, where)
    return None


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
    tag = text_of(root, "filename")
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
