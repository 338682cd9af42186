"""What was read and what was not, in lines for a person."""

from __future__ import annotations

from collections.abc import Collection

from detector.data.class_names import alike
from detector.data.example import Dataset, Example, Problem
from detector.metadata import TOP_K

_PICTURE_LEFT_OUT = frozenset({"picture-left-out", "unreadable-picture", "unlisted-picture"})
SHOWN = 10  # names, at most
MOST_SHOWN = 1000  # time for non-maximum suppression grows with its square


def counted(number: int, what: str) -> str:
    """'1 box', '3 boxes', '1,200 pictures'."""
    plural = f"{what}{'es' if what.endswith(('s', 'x')) else 's'}"
    return f"{number:,} {what if number == 1 else plural}"


def listed(names: Collection[str], most: int = SHOWN) -> str:
    """The first names behind commas, ten at most."""
    return ", ".join(list(names)[:most]) + (", ..." if len(names) > most else "")


def account(train: Dataset, val: Dataset) -> list[str]:
    """Lines on a train and a val: what is odd and left out, how much is left, what AP lacks."""
    problems = list(dict.fromkeys([*train.problems, *val.problems]))
    boxes, judged = train.class_counts(), val.class_counts()
    names = train.class_names
    numbers = "; name them in a data card: classes: [...]" if all(map(str.isdecimal, names)) else ""
    drawn = ", drawn at random since the data names no val" if val.drawn else ""
    kept = {e.path for part in (train, val) for e in part.examples}
    lines = [_odd(problems, kept)] if problems else []
    lines.append(
        f"{counted(len(train.examples), 'training picture')} with {counted(boxes.sum(), 'box')}, "
        f"{len(val.examples):,} to judge by{drawn}; "
        f"{counted(len(names), 'class')}: {listed(names)}{numbers}"
    )
    if crowds := [n for n in map(_wanted, [*train.examples, *val.examples]) if n > TOP_K]:
        lines.append(
            f"{counted(len(crowds), 'picture')} with more than {TOP_K} objects, up to "
            f"{max(crowds)}: AP counts the best {TOP_K} of a class and so stays low"
        )
    if pairs := [f"'{name}' and '{other}'" for name, other in alike(names)]:
        lines.append(
            f"{counted(len(pairs), 'class')} named like another one, and learned as different: "
            f"{listed(pairs, 3)}; to make them one: classes: merge: in a data card"
        )
    if unjudged := [name for name, b, j in zip(names, boxes, judged, strict=True) if b and not j]:
        lines.append(f"no boxes in val, so learned but not judged: {listed(unjudged)}")
    return lines


def shown_at_most(train: Dataset) -> int:
    """How many detections a picture a model should show that learned from these."""
    most = max(map(_wanted, train.examples), default=0)
    return min(max(TOP_K, 2 * most), MOST_SHOWN)


def _wanted(example: Example) -> int:
    """How many objects a picture has."""
    return len(example.ignore) - int(example.ignore.sum())


def _odd(problems: list[Problem], kept: Collection[object]) -> str:
    """How many problems there are, and how much they cost."""
    pictures = sum(p.kind in _PICTURE_LEFT_OUT and p.path not in kept for p in problems)
    boxes = sum(p.kind == "bad-box" for p in problems)
    strays = sum(p.kind == "label-without-picture" for p in problems)
    costs = [
        counted(pictures, "picture") if pictures else "",
        counted(boxes, "box") if boxes else "",
        counted(strays, "label") + " without a picture" if strays else "",
    ]
    left_out = f"left out: {', '.join(filter(None, costs))}" if any(costs) else "nothing left out"
    return (
        f"{counted(len(problems), 'problem')} in the data; {left_out}; the first: {problems[0]} "
        "(`detector check` lists all)"
    )
