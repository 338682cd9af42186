"""The types every reader returns, and what can be done to a data set without its pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

# Beyond this a coordinate is a slip of a key; float32 would also lose whole pixels.
MAX_COORDINATE = 1e6
# A box cut by a crop is wanted with so much of it left; with less, neither wanted nor wrong.
WANTED_SHARE, KNOWN_SHARE = 0.4, 0.05


@dataclass(frozen=True)
class Problem:
    """One odd thing met while reading: it was left out or mended, never passed over in silence.

    kind: a short slug to count by: `bad-box`, `bad-label-file`, `unreadable-picture`,
    `picture-left-out` (it has labels, but none that can be read), `label-without-picture`,
    `picture-without-label`, `unlisted-picture`, `wrong-filename`, `duplicate-picture`,
    `class-names`, `unnamed-classes`, `other-names` (of the same classes), `zero-based`,
    `from-zero`, `exif-turned`, `other-shape`, `split-entry`, `split`, `other-file`.
    where: what a person searches for, `Annotations/17.xml, object 2`. path: the picture it is
    about, by which it goes to that picture's split; else the label file, if one.
    """

    kind: str
    where: str
    message: str
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Example:
    """One picture and what is in it.

    xyxy: (G, 4) pixels as the label file means them: zero-based edges left, top, right, bottom of
    the picture as displayed. Not clipped, not ordered: zero-size and inverted boxes are kept for
    the checker to see. labels: (G,) 0..K-1. ignore: (G,) neither wanted nor wrong (VOC difficult,
    COCO crowd). size_wh: what the label file claims, which may be a lie such as (0, 0); None when
    it says nothing. source: where the labels stand, relative to the root; "" for no label file.
    area: (G,) square pixels by which COCO tells small from large: of the object's outline where the
    label file says, else of the box; None for all boxes' own.
    """

    path: Path
    xyxy: Float32
    labels: Int64
    ignore: Bool
    size_wh: tuple[int, int] | None
    source: str
    area: Float32 | None = None


@dataclass(frozen=True)
class Dataset:
    """Examples in the order of their paths, or of the list that named them; names by label.

    drawn: at random by `split_dataset`, for data that names no val.
    """

    examples: tuple[Example, ...]
    class_names: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    drawn: bool = False

    def class_counts(self) -> Int64:
        """Boxes of each class, (K,), those to ignore and those without an area left out."""
        wanted = [
            e.labels[~e.ignore & (e.xyxy[:, 2:] > e.xyxy[:, :2]).all(1)] for e in self.examples
        ]
        labels = np.concatenate(wanted) if wanted else np.zeros(0, np.int64)
        return np.bincount(labels, minlength=len(self.class_names)).astype(np.int64)


class Box(NamedTuple):
    """A box as read, its class still a name; xyxy in pixels; area as in Example."""

    name: str
    xyxy: tuple[float, float, float, float]
    ignore: bool = False
    area: float | None = None


class Labelled(NamedTuple):
    """A picture as read; fields as in Example."""

    path: Path
    boxes: Sequence[Box]
    size_wh: tuple[int, int] | None
    source: str


def finite_xyxy(values: Iterable[float]) -> tuple[float, float, float, float]:
    """Four coordinates. Raises ValueError unless all are finite and at most 1e6 in size."""
    x1, y1, x2, y2 = values
    if not max(abs(x1), abs(y1), abs(x2), abs(y2)) <= MAX_COORDINATE or x1 != x1:
        raise ValueError(f"coordinates {x1:g}, {y1:g}, {x2:g}, {y2:g} are no pixels")
    if not np.isfinite([x1, y1, x2, y2]).all():
        raise ValueError("a coordinate is not a number")
    return x1, y1, x2, y2


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts as people count: '2' before '10', 'a2' before 'a10'."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(0, int(p), "") if i % 2 else (1, 0, p) for i, p in enumerate(parts)]


def build(
    labelled: Iterable[Labelled],
    problems: Iterable[Problem],
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Names become labels. Without `class_names` the names met, sorted as people count."""
    pictures = sorted(labelled, key=lambda item: item.path)
    if class_names is None:
        class_names = sorted({b.name for p in pictures for b in p.boxes}, key=natural_key)
    label_of = {name: label for label, name in reversed(list(enumerate(class_names)))}
    examples = tuple(
        Example(
            path=picture.path,
            xyxy=np.array([b.xyxy for b in picture.boxes], np.float32).reshape(-1, 4),
            labels=np.array([label_of[b.name] for b in picture.boxes], np.int64),
            ignore=np.array([b.ignore for b in picture.boxes], np.bool_),
            size_wh=picture.size_wh,
            source=picture.source,
            area=_areas(picture.boxes),
        )
        for picture in pictures
    )
    return Dataset(examples, tuple(class_names), tuple(problems))


def _areas(boxes: Sequence[Box]) -> Float32 | None:
    """(G,) areas; None when no box brings one of its own."""
    if all(box.area is None for box in boxes):
        return None
    own = [(b.xyxy[2] - b.xyxy[0]) * (b.xyxy[3] - b.xyxy[1]) for b in boxes]
    return np.array(
        [o if b.area is None else b.area for o, b in zip(own, boxes, strict=True)], np.float32
    )


def relabel(dataset: Dataset, new_name: dict[str, str | None], order: Sequence[str]) -> Dataset:
    """Each class under a new name; None drops its boxes (the picture stays).

    Two classes of one new name are merged. Every new name must stand in `order`, which becomes
    the class list.
    """
    target = [new_name.get(name, name) for name in dataset.class_names]
    label_of = np.array([-1 if t is None else order.index(t) for t in target] or [-1], np.int64)
    examples = []
    for example in dataset.examples:
        labels = label_of[example.labels]
        keep = labels >= 0
        examples.append(
            replace(
                example,
                xyxy=example.xyxy[keep],
                labels=labels[keep],
                ignore=example.ignore[keep],
                area=None if example.area is None else example.area[keep],
            )
        )
    return replace(dataset, examples=tuple(examples), class_names=tuple(order))


def union_names(datasets: Iterable[Dataset]) -> tuple[str, ...]:
    """All class names in the order first met."""
    return tuple(dict.fromkeys(name for d in datasets for name in d.class_names))


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """One data set of several; labels are matched by class name, problems are not repeated."""
    names = union_names(datasets)
    same = [d if d.class_names == names else relabel(d, {}, names) for d in datasets]
    return Dataset(
        tuple(example for d in same for example in d.examples),
        names,
        tuple(dict.fromkeys(problem for d in same for problem in d.problems)),
    )
