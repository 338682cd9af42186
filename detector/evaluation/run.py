"""A detector and labelled examples in, Pictures out: the one way from a model file to figures."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from detector.data.example import Example
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.analysis import Picture
from detector.images import read_image
from detector.metadata import TOP_K
from detector.predictor import Timing

# COCO ranks all of a picture's detections: thresholds that a user would set cost AP.
SCORE = 0.001


def counted_by_ap(top_k: int, classes: int) -> int:
    """How many detections of a picture can count: COCO's AP looks at 100 of a class."""
    return min(top_k, TOP_K * classes)


In = TypeVar("In")
Out = TypeVar("Out")


class Finder(Protocol):
    """What detects: `detector.predictor.Detector`, or a network still in torch."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K names it knows."""

    def detect_timed(self, frame_bgr: npt.NDArray[np.uint8]) -> tuple[Detections, Timing]:
        """Detections in one frame, and what they took."""


@dataclass(frozen=True)
class Seen:
    """What was found in one example. failed: why the picture could not be read, or ''.

    size_wh: of the picture. found: its labels are the model's. infer_ms: the network's share.
    """

    size_wh: tuple[int, int]
    found: Detections
    infer_ms: float = float("nan")
    failed: str = ""


@dataclass
class Run:
    """Pictures measured. failed: one line for each example whose picture cannot be read.

    infer_ms: milliseconds each took in the network. strangers: detections left out, by the name of
    a class that the data does not have.
    """

    pictures: list[Picture] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    infer_ms: list[float] = field(default_factory=list)
    strangers: Counter[str] = field(default_factory=Counter)


def detect_pictures(
    detector: Finder, examples: Iterable[Example], class_names: Sequence[str], workers: int = 1
) -> Run:
    """Detect in every example; labels of truth and detections alike are those of `class_names`.

    Raises DetectorError when not one picture can be read. workers: pictures side by side.
    """
    examples = list(examples)
    seen = ahead(partial(look, detector), examples, workers)
    return collect(zip(examples, seen, strict=True), detector.class_names, class_names)


def look(detector: Finder, example: Example) -> Seen:
    """Read one picture, detect in it."""
    try:
        frame = read_image(example.path)
    except DetectorError as error:
        return Seen((0, 0), Detections.empty(detector.class_names), failed=str(error))
    found, timing = detector.detect_timed(frame)
    return Seen((frame.shape[1], frame.shape[0]), found, timing.infer_ms)


def collect(
    seen: Iterable[tuple[Example, Seen]], model_names: Sequence[str], class_names: Sequence[str]
) -> Run:
    """Pictures of examples and what was seen in them. Raises as `detect_pictures` does."""
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = np.array([label_of.get(name, -1) for name in model_names], np.int64)
    run = Run()
    for example, one in seen:
        if one.failed:
            run.failed.append(one.failed)
            continue
        known = labels[one.found.labels] >= 0
        run.strangers.update(one.found[~known].names)
        kept = one.found[known]
        found = Detections(kept.xyxy, kept.scores, labels[kept.labels], tuple(class_names))
        run.pictures.append(labelled(example, one.size_wh, found))
        run.infer_ms.append(one.infer_ms)
    if not run.pictures:
        why = f"; the first: {run.failed[0]}" if run.failed else ""
        raise DetectorError(f"none of {len(run.failed)} pictures can be read{why}")
    return run


def labelled(example: Example, size_wh: tuple[int, int], found: Detections) -> Picture:
    """An example's truth beside what was found.

    As in pycocotools and VOC's devkit, boxes are not clipped to the picture, and those without area
    count, though nothing can find them. Only inverted ones are left out.
    """
    whole = ~inverted(example)
    area = None if example.area is None else example.area[whole]
    truth = (example.xyxy[whole], example.labels[whole], example.ignore[whole])
    return Picture(Path(example.path), size_wh, *truth, found, area)


def inverted(example: Example) -> npt.NDArray[np.bool_]:
    """(G,) which boxes end before they begin."""
    return np.asarray((example.xyxy[:, 2:] < example.xyxy[:, :2]).any(axis=1))


def in_pixels(found: Detections, size_wh: tuple[int, int]) -> Detections:
    """Detections whose boxes are fractions of a picture, in its pixels."""
    return replace(found, xyxy=found.xyxy * np.array([*size_wh, *size_wh], np.float32))


def ahead(function: Callable[[In], Out], items: Iterable[In], workers: int) -> Iterator[Out]:
    """Results in order, `workers` computed side by side and no more than twice as many waiting."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Callable[[], Out]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item).result)
            if len(waiting) > 2 * workers:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
