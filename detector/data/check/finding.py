"""What the checks find, and what each kind of it means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from detector.metadata import TOP_K

Severity = Literal["error", "warning", "note"]


class Kind(NamedTuple):
    """error: labels that are lost or wrong as they stand; warning: risky; note: good to know."""

    severity: Severity
    title: str
    advice: str


KINDS = {
    "unusable": Kind("error", "cannot be trained on", "Mend what the message names first."),
    "unreadable": Kind(
        "error", "unreadable picture", "Not used for training. Copy or save it again."
    ),
    "truncated": Kind("error", "truncated picture", "Its end is missing: copy it again."),
    "damaged": Kind(
        "warning",
        "picture damaged inside",
        "Look at it (--html): if a part is garbled, copy it again; else save it again.",
    ),
    "bad-label-file": Kind("error", "unreadable label file", "Its labels are lost: write it anew."),
    "left-out": Kind(
        "error", "picture left out", "Its labels cannot be read: mend them, or delete both."
    ),
    "bad-box": Kind("error", "label that is no box", "Left out. Correct or delete it."),
    "label-without-picture": Kind(
        "error", "labels without a picture", "Add the picture, or delete the labels."
    ),
    "zero-size-box": Kind("error", "box without area", "Not learned from. Redraw or delete it."),
    "inverted-box": Kind("error", "box inside out", "Not learned from. Swap its corners."),
    "box-off-picture": Kind("error", "box wholly off the picture", "Redraw or delete it."),
    "size-differs": Kind(
        "error",
        "labels of another size",
        "Labelled before the picture was resized or replaced? Boxes are then in the wrong place.",
    ),
    "leaked-copy": Kind(
        "error", "same picture in two splits", "The score is not to be trusted: keep it in one."
    ),
    "leaked-near": Kind(
        "warning",
        "near duplicates in two splits",
        "Frames of a video or copies flatter the score: keep them on one side (val: 0.2 in a "
        "card splits so).",
    ),
    "box-outside": Kind(
        "warning", "box reaching off the picture", "It is clipped. Check that it fits."
    ),
    "off-by-one": Kind(
        "warning",
        "one pixel off",
        "VOC counts pixels from 1, most tools from 0: set first_pixel in a card.",
    ),
    "size-zero": Kind("warning", "size tag of zero", "The picture's own size is used."),
    "duplicate-box": Kind("warning", "box drawn twice", "Delete one."),
    "two-labels": Kind("warning", "one box, two classes", "Which is it? Delete the other."),
    "covers-picture": Kind(
        "warning", "box around the whole picture", "A slip of the mouse, or a true close-up?"
    ),
    "tiny-box": Kind(
        "warning",
        "box too small to see",
        "Below 4 pixels at 300: use a larger --size, or cut the pictures (--fix with --tiles).",
    ),
    "hard-to-match": Kind(
        "warning",
        "anchors fit badly",
        "Try a larger --size; for odd shapes --anchors fit; cut large pictures.",
    ),
    "crowded": Kind(
        "warning",
        f"picture with over {TOP_K} objects",
        f"AP counts the best {TOP_K} of a class. To be shown more: --top-k.",
    ),
    "misnamed": Kind(
        "warning", "name of another format", "Read all the same; other tools may fail. Rename it."
    ),
    "ambiguous": Kind("warning", "ambiguous names", "Give each picture a name of its own."),
    "copy": Kind("warning", "same picture twice in a split", "Keep one."),
    "few-boxes": Kind("warning", "class with few boxes", "Label more: 50 is a start."),
    "imbalance": Kind("warning", "uneven classes", "Add pictures of the rare ones."),
    "similar-classes": Kind("warning", "classes alike in name", "Merge them with classes: rename."),
    "split": Kind("warning", "splits", "Correct the lists."),
    "other-names": Kind(
        "warning", "lists of classes disagree", "See which is right, and delete the other."
    ),
    "near-duplicate": Kind("note", "near duplicates in a split", "Fine; they add little."),
    "exif-turned": Kind(
        "note", "turned by its EXIF tag", "Shown and used upright; see that the boxes fit."
    ),
    "starts-at-one": Kind(
        "note",
        "boxes begin at pixel 1, never at 0",
        "labelImg does so, and nothing is wrong. If another tool counted from 1: first_pixel: 1.",
    ),
    "from-zero": Kind(
        "note", "VOCdevkit counted from pixel 0", "Read so. If it counts from 1: first_pixel: 1."
    ),
    "other-shape": Kind(
        "note", "shapes that are no boxes", "Each is used as the upright box around it."
    ),
    "negative": Kind("note", "picture without labels", "Used as one without objects: is it?"),
    "unlisted": Kind("note", "picture not used", "List or label it to use it."),
    "in-no-split": Kind(
        "note",
        "labelled picture in no split",
        "Not used. List it, or name its folder under splits: in a card.",
    ),
    "misleading-name": Kind("note", "label names another file", "The picture beside it is used."),
    "other-file": Kind("note", "file of another format", "Not read, and no picture needs it."),
    "class-names": Kind("note", "class names", "Name them in data.yaml or a card."),
}


@dataclass(frozen=True)
class Finding:
    """One thing of a kind. where: what a person searches for.

    path: the picture it shows in, if one; other: a second picture, for copies. boxes: rows of the
    picture's boxes that are meant. split: where it was found, "" for the data set as a whole.
    """

    kind: str
    where: str
    message: str
    split: str = ""
    path: Path | None = None
    other: Path | None = None
    boxes: tuple[int, ...] = ()

    @property
    def severity(self) -> Severity:
        """That of its kind."""
        return KINDS[self.kind].severity


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings of each kind that occurs, kinds in the order of KINDS: errors first."""
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.kind, []).append(finding)
    order = sorted(KINDS, key=lambda k: ("error", "warning", "note").index(KINDS[k].severity))
    return {kind: grouped[kind] for kind in order if kind in grouped}
