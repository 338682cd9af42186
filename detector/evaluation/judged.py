"""Labelled data, and what a model or somebody's results file finds in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from detector.data.account import counted, listed
from detector.data.example import Dataset, Example
from detector.data.load import load_judged
from detector.data.picture_size import displayed_size
from detector.errors import DetectorError
from detector.evaluation.analysis import Picture
from detector.evaluation.identity import Identity, by_id, identify, kept
from detector.evaluation.listed import is_listing, read_listing
from detector.evaluation.partial import NAME, keep, key_of, read_part
from detector.evaluation.progress import watched
from detector.evaluation.results import read_results
from detector.evaluation.run import Finder, ahead, collect, inverted, look


@dataclass(frozen=True)
class Data:
    """Pictures to judge by. name: the card's, with the split. notes: what a user should know."""

    name: str
    dataset: Dataset
    identity: Identity
    notes: list[str]


@dataclass(frozen=True)
class Judged:
    """Pictures with detections, the ids they go by, and what a user should know of them."""

    pictures: list[Picture]
    identity: Identity
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """A detector to judge. path: its file. key: what else its detections depend on. workers:
    pictures to look at side by side. trained_on: the name of the data it learned from, or ''.
    """

    finder: Finder
    path: Path
    title: str
    key: Sequence[object]
    workers: int
    trained_on: str


def open_data(
    place: Path, split: str | None, trained_on: str = "", *, unseen: bool = False
) -> Data:
    """Data to judge by; where it has no splits, all of it.

    unseen: whether no picture will be opened, so that a COCO json may stand without them.

    But of data that the model was trained on (`trained_on` is its name) the part that training set
    aside. Raises DetectorError as `load_judged` does.
    """
    if unseen and split in (None, "all") and is_listing(place):
        judged = read_listing(place)
    else:
        judged = load_judged(place, split)
    if judged.whole and judged.card.name == trained_on:
        judged = load_judged(place, "val")
    notes = []
    if judged.whole:
        notes.append(
            f"{place}: no splits, so all {counted(len(judged.dataset.examples), 'picture')} are "
            "used; --split val takes the part that training sets aside"
        )
    if problems := judged.dataset.problems:
        odd = counted(len(problems), "problem")
        notes.append(f"{odd} in the data, such as {problems[0]} (`detector check`)")
    rename = judged.card.classes.rename
    dataset, identity = by_id(judged.dataset, identify(judged.dataset, judged.tables, rename))
    notes += _odd_boxes(dataset)
    return Data(f"{judged.card.name}, {judged.split}", dataset, identity, notes)


def _odd_boxes(dataset: Dataset) -> list[str]:
    """What becomes of labelled boxes that nothing can find."""
    notes = []
    if flipped := sum(int(inverted(example).sum()) for example in dataset.examples):
        notes.append(f"left out: {counted(flipped, 'labelled box')} of negative width or height")
    flat = sum(
        int((~e.ignore & (e.xyxy[:, 2:] == e.xyxy[:, :2]).any(axis=1)).sum())
        for e in dataset.examples
    )
    if flat:
        notes.append(f"{counted(flat, 'labelled box')} without area: counted as missed")
    return notes


def judge_file(path: Path, data: Data) -> Judged:
    """Somebody's detections; DetectorError as `read_results` raises it."""
    sizes = [_size(example) for example in data.dataset.examples]
    results = read_results(path, data.dataset, data.identity, sizes)
    notes = list(results.notes)
    for why, count in results.left_out.items():
        notes.append(f"left out: {counted(count, 'detection')} {why}")
    best = max((float(p.found.scores[0]) for p in results.pictures if len(p.found)), default=0.0)
    if best > 1:
        notes.append(
            f"scores go up to {best:g}: AP only needs their order, but best-F1 thresholds and "
            "reliability are meant for scores in 0..1"
        )
    outside = sum(_outside(picture) for picture in results.pictures)
    if outside:
        notes.append(f"{counted(outside, 'detection')} outside the picture: false alarms")
    return Judged(results.pictures, data.identity, notes)


def judge_model(model: Model, data: Data, folder: Path | None) -> Judged:
    """Run a model on the data, with progress on stderr.

    folder: where what was seen is kept until the evaluation is over, so that it can go on.
    Raises DetectorError when not one picture can be read.
    """
    examples, names = data.dataset.examples, data.dataset.class_names
    fresh = ahead(partial(look, model.finder), examples, model.workers)
    before = 0
    if folder is not None:
        paths = [str(example.path) for example in examples]
        key = key_of(model.path, [*model.key, paths])
        part = read_part(folder / NAME, key, model.finder.class_names)
        before = len(part.seen)
        rest = islice(examples, before, None)
        fresh = keep(part, ahead(partial(look, model.finder), rest, model.workers))
    seen = watched(fresh, len(examples), before)
    run = collect(zip(examples, seen, strict=True), model.finder.class_names, names)
    notes = [f"went on after {before:,} of {len(examples):,} pictures"] if before else []
    if run.failed:
        lost = counted(len(run.failed), "picture")
        notes.append(f"{lost} cannot be read and are left out; the first: {run.failed[0]}")
    notes += class_notes(model.finder.class_names, data.dataset, sum(run.strangers.values()))
    paths_kept = [picture.path for picture in run.pictures]
    return Judged(run.pictures, kept(data.identity, data.dataset, paths_kept), notes)


def class_notes(model_names: Sequence[str], data: Dataset, dropped: int) -> list[str]:
    """What to know about classes that only the model or only the data has.

    dropped: detections left out since the data lacks their class. DetectorError when the two have
    no class in common.
    """
    extra = [name for name in model_names if name not in data.class_names]
    counts = zip(data.class_names, data.class_counts(), strict=True)
    unknown = [name for name, count in counts if count and name not in model_names]
    if len(extra) == len(model_names):
        raise DetectorError(
            f"the model finds {listed(model_names)}, and the data has {listed(data.class_names)}: "
            "no name in common; rename them in a data card (classes: rename:)"
        )
    notes = []
    if unknown:
        notes.append(
            f"the model does not know {counted(len(unknown), 'class')} of the data, which count as "
            f"never found: {listed(unknown)}"
        )
    if extra:
        notes.append(
            f"the data does not have {counted(len(extra), 'class')} of the model: "
            f"{counted(dropped, 'detection')} left out ({listed(extra)})"
        )
    return notes


def _size(example: Example) -> tuple[int, int]:
    """A picture's size from its file, else as its label says, else (0, 0)."""
    try:
        return displayed_size(example.path)
    except ValueError:
        return example.size_wh or (0, 0)


def _outside(picture: Picture) -> int:
    """How many detections share nothing with their picture; 0 where its size is unknown."""
    xyxy, (width, height) = picture.found.xyxy, picture.size_wh
    if min(width, height) < 1:
        return 0
    beyond = (xyxy[:, 0] >= width) | (xyxy[:, 1] >= height)
    return int((beyond | (xyxy[:, 2:] <= 0).any(axis=1)).sum())
