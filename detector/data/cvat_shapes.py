"""The shapes of CVAT's XML as upright boxes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable

from detector.data.example import Box, finite_xyxy
from detector.data.outline import XYXY, bounds, is_mark, turned


def read_shape(node: ET.Element, others: Counter[str]) -> Box:
    """One shape as a box; what is no upright box is counted in `others`.

    An attribute `difficult`, `ignore` or `crowd` that is true makes it neither wanted nor wrong.
    Raises ValueError, saying what is wrong.
    """
    name = node.get("label", "").strip()
    if not name:
        raise ValueError("has no label")
    if node.tag not in _READERS:
        raise ValueError("has no outline to put a box around")
    xyxy = _READERS[node.tag](node)
    if node.tag != "box":
        others[node.tag] += 1
    elif _number(node, "rotation", "0") % 360:
        others["turned box"] += 1
    marks = node.findall("attribute")
    return Box(name, xyxy, any(is_mark(mark.get("name", ""), mark.text) for mark in marks))


def _number(node: ET.Element, key: str, otherwise: str = "") -> float:
    text = node.get(key, otherwise)
    try:
        return float(text)
    except ValueError:
        what = f"holds '{text[:40]}', expected a number" if text else "is missing"
        raise ValueError(f"{key} {what}") from None


def _box(node: ET.Element) -> XYXY:
    xyxy = finite_xyxy(_number(node, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    return turned(xyxy, _number(node, "rotation", "0"))


def _ellipse(node: ET.Element) -> XYXY:
    cx, cy, rx, ry = (_number(node, key) for key in ("cx", "cy", "rx", "ry"))
    upright = finite_xyxy((cx - rx, cy - ry, cx + rx, cy + ry))
    return turned(upright, _number(node, "rotation", "0"), ellipse=True)


def _polygon(node: ET.Element) -> XYXY:
    text = node.get("points", "")
    try:
        pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
        return bounds([(float(x), float(y)) for x, y in pairs])
    except ValueError as error:
        raise ValueError(f"points '{text[:40]}': {error}") from None


def _mask(node: ET.Element) -> XYXY:
    left, top, width, height = (_number(node, key) for key in ("left", "top", "width", "height"))
    return finite_xyxy((left, top, left + width, top + height))


def _cuboid(node: ET.Element) -> XYXY:
    corners = [corner + side for side in "12" for corner in ("tl", "bl", "tr", "br")]
    return bounds([(_number(node, f"x{c}"), _number(node, f"y{c}")) for c in corners])


_READERS: dict[str, Callable[[ET.Element], XYXY]] = {
    "box": _box,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "polyline": _polygon,
    "mask": _mask,
    "cuboid": _cuboid,
}
