"""Training pictures held back from calibration, which decide how an int8 file is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from detector.data.example import Dataset, Example
from detector.detections import select
from detector.evaluation.analyse import analyse
from detector.evaluation.run import SCORE, Seen, collect
from detector.export.frames import Frames
from detector.predictor import Detector

EVERY = 4  # of so many training pictures one is held back
FEW = 8  # below that all pictures are used for both
Item = TypeVar("Item")


class Held:
    """Labelled pictures as a network of `side` pixels takes them; unreadable ones are left out."""

    def __init__(self, data: Dataset, side: int) -> None:
        self.frames = Frames([example.path for example in data.examples], side)
        self.data = replace(data, examples=tuple(data.examples[i] for i in self.frames.readable))

    def __len__(self) -> int:
        return len(self.data.examples)

    def average_precision(self, model: Path) -> float:
        """COCO's AP of a model file, in percent; NaN where the pictures have none of its classes.

        As `detector.export.agree.average_precision`, but pictures are not decoded each time.
        """
        detector = Detector(model, score=SCORE)
        names = detector.class_names
        seen = []
        for frame, size_wh in zip(self.frames, self.frames.sizes_wh, strict=True):
            boxes, scores = detector.engine.infer(frame)
            limits = (SCORE, detector.iou, detector.top_k)
            seen.append(Seen(size_wh, select(boxes, scores, size_wh[::-1], names, *limits)))
        run = collect(zip(self.data.examples, seen, strict=True), names, self.data.class_names)
        return analyse(run.pictures, self.data.class_names, worst=0).figures["AP"]


def divide(train: Dataset) -> tuple[Sequence[Example], Sequence[Example]]:
    """Examples to calibrate on and to learn from, and those held back from that to decide by.

    Too few, or without a box among those held back, and all serve for both.
    """
    held = train.examples[EVERY - 1 :: EVERY]
    rest = [example for number, example in enumerate(train.examples, 1) if number % EVERY]
    if len(train.examples) < FEW or not replace(train, examples=held).class_counts().sum():
        return train.examples, train.examples
    return rest, held


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread."""
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(most, len(items)))]
