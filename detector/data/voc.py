"""PASCAL VOC XML: one file a picture, as VOCdevkit, labelImg, CVAT and Roboflow lay it out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from detector.data.example import Dataset, build
from detector.data.own_label import OwnLabels
from detector.data.tree import PictureIndex, Tree, read_text
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
    found = OwnLabels(tree, pictures, "XML", "filename")
    folders: dict[Path, list[Path]] = {}  # of XML files, and the pictures that those are about
    for xml in tree.having(".xml"):
        root = _parse(xml, found)
        if root is None:
            continue
        path = found.picture_of(xml, text_of(root, "filename"))
        boxes = read_boxes(root, path or xml, tree.show(xml), found.problems)
        drawn = root.find(".//object") is not None
        if path and found.add(xml, path, boxes, read_size(root), drawn):
            folders.setdefault(xml.parent, []).append(path)
    for folder, paths in folders.items():
        mine = [found.labelled[path] for path in paths]
        origin = origin_of(folder, mine, first_pixel, tree, found.problems)
        found.labelled |= {item.path: from_zero(item, origin) for item in mine}
    return build(found.everything(), found.problems)


def _parse(xml: Path, found: OwnLabels) -> ET.Element | None:
    """The root of a VOC file. None for another, whose picture, where it has one, is then spoilt.

    CVAT's `annotations.xml` or a program's settings may lie about: they mean no picture.
    """
    try:
        root = parse_xml(read_text(xml))
    except ValueError as error:
        found.refuse(xml, str(error))
        return None
    if root.tag != "annotation":
        message = f"holds <{root.tag[:40]}>, expected <annotation>; not a VOC file"
        found.refuse(xml, message, other=True)
        return None
    return root
