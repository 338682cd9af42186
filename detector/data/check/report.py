"""All checks of a data set, in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.data.check.classes import odd_classes
from detector.data.check.copies import Placed, copies
from detector.data.check.examples import (
    example_findings,
    fit_findings,
    from_one,
    once,
    reader_findings,
    unused_findings,
)
from detector.data.check.finding import Finding
from detector.data.check.fit import SizeFit, anchor_fit
from detector.data.check.pictures import Picture, look_at
from detector.data.example import Dataset, Example, Float32
from detector.data.formats import Folder, open_folder, read_all
from detector.data.load import load_splits, nothing_in, open_card
from detector.errors import DetectorError

OWN_FILES = ("voc", "yolo", "labelme")  # one label file a picture


@dataclass(frozen=True)
class Report:
    """What `check` found. splits: as training gets them. pictures: by path. fit: None, no torch."""

    data: Path
    root: Path
    format: str
    splits: Mapping[str, Dataset]
    pictures: Mapping[Path, Picture]
    findings: tuple[Finding, ...]
    fit: list[SizeFit] | None

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def show(self, path: Path) -> str:
        """A path relative to the root where it lies there."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )


def check(data: str | Path) -> Report:
    """Look at all of a data card, a folder or a label file; nothing is written.

    What cannot be trained on is a finding as long as something can be read. Raises DetectorError
    when nothing can: no such path, no labels, several formats.
    """
    folder, splits, findings = _read(data)
    first = ("train", *splits) if "train" in splits else tuple(splits)
    splits = {name: splits[name] for name in first}
    everything = [e for dataset in splits.values() for e in dataset.examples]
    paths = list(dict.fromkeys(e.path for e in everything))
    pictures = {picture.path: picture for picture in look_at(paths)}
    whole = _whole(folder, splits)
    # Labels that no split names are lost too; a json or CSV is read with its split anyway.
    own = whole if folder.format in OWN_FILES else None
    findings += reader_findings(splits, own, pictures)
    findings += unused_findings(splits, whole, folder.tree) if whole else []
    show = folder.tree.show
    placed = [
        Placed(name, pictures[e.path], show(e.path))
        for name in splits
        for e in splits[name].examples
    ]
    for one, example in zip(placed, everything, strict=True):
        findings += example_findings(example, one)
    findings += [*from_one(folder.format, everything), *copies(placed), *odd_classes(splits)]
    fit = anchor_fit(_fractions(everything, pictures))
    findings += fit_findings(fit)
    return Report(
        data=Path(data),
        root=folder.tree.root,
        format=folder.format,
        splits=splits,
        pictures=pictures,
        findings=once(findings),
        fit=fit,
    )


def _read(data: str | Path) -> tuple[Folder, Mapping[str, Dataset], list[Finding]]:
    """The folder, its splits, and why it cannot be trained on if so: then one split, 'all'."""
    card = open_card(data)
    try:
        splits = load_splits(data)
        return open_folder(card.root, card.format, card.images, card.first_pixel), splits, []
    except DetectorError as error:
        if nothing_in(card.root):
            raise
        folder = open_folder(card.root, card.format, card.images, card.first_pixel)
        message = str(error).removeprefix(f"{card.path}: ")
        return folder, {"all": read_all(folder)}, [Finding("unusable", str(card.path), message)]


def _whole(folder: Folder, splits: Mapping[str, Dataset]) -> Dataset | None:
    """All the folder has, in splits or not; None where tables disagree or all of it is in a split.

    Files of one picture each are always read: what is odd in those that no split means counts.
    """
    if any(dataset.drawn for dataset in splits.values()) and folder.format not in OWN_FILES:
        return None
    try:
        return read_all(folder)
    except DetectorError:
        return None


def _fractions(examples: Sequence[Example], pictures: Mapping[Path, Picture]) -> Float32:
    """All wanted boxes with an area, (G, 4), as fractions of their pictures, clipped to them."""
    found = [np.zeros((0, 4), np.float32)]
    for example in examples:
        width, height = pictures[example.path].size_wh
        if width:
            boxes = example.xyxy[~example.ignore] / np.array([width, height] * 2, np.float32)
            found.append(np.clip(boxes, 0, 1))
    boxes = np.concatenate(found)
    whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return np.asarray(boxes[whole], np.float32)
