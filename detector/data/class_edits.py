"""What a data card does to class names: drop, rename, merge, order."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from detector.data.card import Classes
from detector.errors import DetectorError


def plan_classes(
    classes: Classes, found: tuple[str, ...], where: str
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """(old name to new name or None to drop, final names in order) for the names found.

    Classes called by number ('0', '1', as YOLO without names and some VOC files have them) take
    the names of the card by that number, from 0. Raises DetectorError, naming the nearest, for a
    name to drop or rename that the data lacks, and for a class that the card's names leave out.
    """
    for key, wanted in (("drop", classes.drop), ("rename", tuple(classes.rename))):
        for name in wanted:
            if name not in found:
                raise DetectorError(f"{where}: classes: {key}: no class {_near(name, found)}")
    numbered = bool(found) and all(name.isdecimal() for name in found)
    new_name = {name: _renamed(name, classes, numbered) for name in found}
    kept = tuple(dict.fromkeys(name for name in new_name.values() if name is not None))
    if not kept:
        raise DetectorError(f"{where}: classes: none is left of {', '.join(found)}; drop fewer")
    order = classes.names or kept
    if left_out := [name for name in kept if name not in order]:
        raise DetectorError(
            f"{where}: classes: names leaves out a class of the data, {_near(left_out[0], order)}; "
            "add it to names, or to drop"
        )
    return new_name, order


def _renamed(name: str, classes: Classes, numbered: bool) -> str | None:
    if name in classes.drop:
        return None
    if name in classes.rename:
        return classes.rename[name]
    if numbered and name not in classes.names and int(name) < len(classes.names):
        return classes.names[int(name)]
    return name


def _near(name: str, known: Collection[str]) -> str:
    """'raccon' (did you mean 'raccoon'?)."""
    near = difflib.get_close_matches(name, known, n=1)
    some = ", ".join(list(known)[:8])
    return f"'{name}' ({f'near: {near[0]}' if near else f'known: {some}'})"
