"""The upright boxes around what else tools draw: polygons, circles, turned boxes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from detector.data.account import counted, listed
from detector.data.example import Problem, finite_xyxy

Point = tuple[float, float]
XYXY = tuple[float, float, float, float]

_MARKS = frozenset({"difficult", "ignore", "crowd", "iscrowd"})
_TRUE = frozenset({"1", "true", "yes"})


def bounds(points: Sequence[Point]) -> XYXY:
    """The box around points in any order. Raises ValueError for less than two, or no numbers."""
    if len(points) < 2:
        raise ValueError(f"has {counted(len(points), 'point')}, a box needs two")
    if not all(math.isfinite(value) for point in points for value in point):
        raise ValueError("a coordinate is not a number")
    xs, ys = zip(*points, strict=True)
    return finite_xyxy((min(xs), min(ys), max(xs), max(ys)))


def turned(xyxy: XYXY, degrees: float, ellipse: bool = False) -> XYXY:
    """The box around a box turned about its middle, or around the ellipse that fills it.

    Either way round gives the same. Not turned at all it stays as it stands, inverted ones too.
    Raises ValueError for what is no number.
    """
    if not math.isfinite(degrees):
        raise ValueError(f"a rotation of {degrees:g} degrees is none")
    x1, y1, x2, y2 = finite_xyxy(xyxy)
    if degrees % 360 == 0:
        return x1, y1, x2, y2
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = abs(x2 - x1) / 2, abs(y2 - y1) / 2
    if ellipse:
        across, down = math.hypot(width * cos, height * sin), math.hypot(width * sin, height * cos)
    else:
        across, down = width * cos + height * sin, width * sin + height * cos
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    return finite_xyxy((cx - across, cy - down, cx + across, cy + down))


def is_mark(name: str, value: object) -> bool:
    """Whether a flag or attribute says that its box is neither wanted nor wrong."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    return plain in _MARKS and str(value).strip().lower() in _TRUE


def told(shapes: Counter[str], where: str) -> list[Problem]:
    """That shapes other than boxes became boxes, as one problem; none when there were none."""
    if not shapes:
        return []
    drawn = [counted(number, name) for name, number in sorted(shapes.items())]
    return [
        Problem("other-shape", where, f"{listed(drawn)}: used as the upright boxes around them")
    ]
