"""Findings on single pictures with their labels, and on all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from detector.data.account import counted
from detector.data.check.boxes import odd_boxes
from detector.data.check.copies import Placed
from detector.data.check.finding import Finding
from detector.data.check.fit import SizeFit
from detector.data.check.pictures import Picture
from detector.data.example import Dataset, Example, Problem
from detector.data.tree import Tree
from detector.metadata import TOP_K

# What readers call a problem: what it is called here.
_KINDS = {
    "bad-box": "bad-box",
    "bad-label-file": "bad-label-file",
    "unreadable-picture": "unreadable",
    "picture-left-out": "left-out",
    "label-without-picture": "label-without-picture",
    "picture-without-label": "negative",
    "unlisted-picture": "unlisted",
    "wrong-filename": "misleading-name",
    "duplicate-picture": "ambiguous",
    "class-names": "class-names",
    "unnamed-classes": "class-names",
    "other-names": "other-names",
    "zero-based": "off-by-one",
    "from-zero": "from-zero",
    "exif-turned": "exif-turned",
    "other-shape": "other-shape",
    "split-entry": "split",
    "split": "split",
    "other-file": "other-file",
}
POOR_RECALL = 0.8


def reader_findings(
    splits: Mapping[str, Dataset], whole: Dataset | None, pictures: Mapping[Path, Picture]
) -> Iterator[Finding]:
    """What the readers left out or mended, each once."""
    told: set[Problem] = set()
    for split, dataset in (*splits.items(), *([("", whole)] if whole else [])):
        for problem in dataset.problems:
            # Pictures that are in a split are looked at one by one, in full.
            known = problem.kind == "unreadable-picture" and problem.path in pictures
            if problem in told or known:
                continue
            told.add(problem)
            shown = problem.path if problem.path in pictures else None
            kind = _KINDS.get(problem.kind, "ambiguous")
            yield Finding(kind, problem.where, problem.message, split, shown)


def unused_findings(splits: Mapping[str, Dataset], whole: Dataset, tree: Tree) -> Iterator[Finding]:
    """Pictures with boxes that lie in no split: nobody asked for them to be left out."""
    used = {example.path for dataset in splits.values() for example in dataset.examples}
    for example in whole.examples:
        if len(example.labels) and example.path not in used:
            message = f"{counted(len(example.labels), 'box')} that no split uses"
            yield Finding("in-no-split", tree.show(example.path), message, path=example.path)


def example_findings(example: Example, placed: Placed) -> Iterator[Finding]:
    """What is odd about one picture and its boxes."""
    split, picture, name = placed
    if picture.kind:
        yield Finding(picture.kind, name, picture.message, split, picture.path)
    if picture.orientation != 1:
        message = f"is shown turned or mirrored (EXIF orientation {picture.orientation})"
        yield Finding("exif-turned", name, message, split, picture.path)
    if not picture.size_wh[0]:
        return
    where = f"{name} ({example.source})" if example.source else name
    if example.size_wh is not None and len(example.labels):
        claimed, true = ("x".join(map(str, wh)) for wh in (example.size_wh, picture.size_wh))
        if min(example.size_wh) <= 0:
            message = f"the labels say {claimed}, the picture is {true}"
            yield Finding("size-zero", where, message, split, picture.path)
        elif size_differs(example, picture):
            message = f"labelled at {claimed}, the picture is {true}"
            yield Finding("size-differs", where, message, split, picture.path)
    if (objects := int((~example.ignore).sum())) > TOP_K:
        yield Finding("crowded", where, f"{objects} objects", split, picture.path)
    for kind, rows, message in odd_boxes(
        example.xyxy, example.labels, example.ignore, picture.size_wh
    ):
        yield Finding(kind, where, message, split, picture.path, boxes=rows)


def size_differs(example: Example, picture: Picture) -> bool:
    """Whether a picture has boxes, and their file claims another size by more than a pixel."""
    if example.size_wh is None or not len(example.labels) or min(example.size_wh) <= 0:
        return False
    return max(abs(a - b) for a, b in zip(example.size_wh, picture.size_wh, strict=True)) > 1


def from_one(format: str, examples: Sequence[Example]) -> Iterator[Finding]:
    """VOC boxes that begin at 1 and never at 0: perhaps all were counted from 1."""
    edges = [float(edge) for e in examples for edge in e.xyxy[:, :2].reshape(-1)]
    ones = sum(edge == 1 for edge in edges)
    if format == "voc" and ones >= 3 and min(edges) == 1:
        yield Finding("starts-at-one", "all labels", f"{ones} edges lie at 1, none at 0")


def fit_findings(fit: Sequence[SizeFit] | None) -> Iterator[Finding]:
    """Whether too many boxes have no anchor like them."""
    if fit and fit[-1].boxes and fit[-1].recall < POOR_RECALL:
        worst = min((row for row in fit[:-1] if row.boxes), key=lambda row: row.recall)
        message = (
            f"{fit[-1].recall:.0%} of the boxes have an anchor with an overlap of 0.5 at 300 px; "
            f"least the {worst.name} ones: {worst.recall:.0%} of {worst.boxes}"
        )
        yield Finding("hard-to-match", "all boxes", message)


def once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Without what two checks say of the same thing; the reader's word, which comes first, stays.

    A turned picture whose labels were turned with it, and a box that starts at 0 where VOC counts
    from 1, are seen by the reader and again in the result.
    """
    kept: dict[object, Finding] = {}
    zero_based: set[str] = set()
    for finding in findings:
        key: object = finding
        if finding.kind == "exif-turned":
            key = ("exif-turned", finding.path)
        if finding.kind == "off-by-one":
            source = finding.where.partition(", object")[0]
            if not finding.boxes:
                zero_based.add(source)
            elif any(f"({known})" in finding.where for known in zero_based):
                continue
        kept.setdefault(key, finding)
    return tuple(kept.values())
