"""Training pictures held back from calibration, which decide how an int8 file is made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.data.augment import nearby_view
from detector.data.example import Dataset, Example
from detector.data.flips import FLIPS
from detector.data.loading import Pictures
from detector.detections import Limits, select
from detector.evaluation.coco import measure_pictures
from detector.evaluation.run import SCORE, Seen, collect, counted_by_ap
from detector.export.frames import BUDGET, Frames, UInt8
from detector.predictor import Detector

EVERY = 4  # of so many training pictures one is held back
FEW = 8  # below that all pictures are used for both
ENOUGH, MOST_LOOKS = 320, 8  # views to decide by; of one picture


class Held:
    """Labelled pictures as a network of `side` pixels takes them; unreadable ones are left out.

    looks: how often each is looked at, as it is and then in nearby views (`nearby_view`; flips:
    chance of one being mirrored), always the same ones, shrunk as training has them. AP of one view
    of 40 pictures moves by points either way when only rounding changes, of eight views hardly
    (docs/int8.md).
    """

    def __init__(self, data: Dataset, side: int, looks: int = 1, flips: float = FLIPS) -> None:
        self.frames = Frames([example.path for example in data.examples], side)
        self.data = replace(data, examples=tuple(data.examples[i] for i in self.frames.readable))
        self._nearby = list(_nearby(self.data, side, looks - 1, flips)) if len(self) else []

    def __len__(self) -> int:
        return len(self.data.examples)

    def average_precision(self, model: Path) -> float:
        """COCO's AP of a model file, in percent; NaN where the pictures have none of its classes.

        As `detector.export.agree.average_precision`, but pictures are not decoded each time.
        """
        detector = Detector(model, score=SCORE)
        names = detector.class_names
        most = counted_by_ap(detector.top_k, len(names))
        limits = Limits(SCORE, detector.iou, most, detector.vote)

        def seen() -> Iterator[tuple[Example, Seen]]:
            whole = zip(self.data.examples, self.frames, self.frames.sizes_wh, strict=True)
            for example, frame, size_wh in itertools.chain(whole, self._nearby):
                boxes, scores = detector.engine.infer(frame)
                yield example, Seen(size_wh, select(boxes, scores, size_wh[::-1], names, limits))

        run = collect(seen(), names, self.data.class_names)
        return measure_pictures(run.pictures, len(self.data.class_names))["AP"]


def looks(count: int, side: int) -> int:
    """How often to look at each of `count` pictures: until they are ENOUGH, MOST_LOOKS at most.

    Nor more than fit into BUDGET bytes, at `side` pixels.
    """
    count = max(count, 1)
    fit = 1 + BUDGET // (3 * side * side * count)
    return min(MOST_LOOKS, math.ceil(ENOUGH / count), fit)


def _nearby(
    data: Dataset, side: int, times: int, flips: float
) -> Iterator[tuple[Example, UInt8, tuple[int, int]]]:
    """Views of the pictures, `times` of each: what is in one, its frame, and its width and height.

    COCO's areas are those of the boxes as the network sees them.
    """
    if times < 1:
        return
    pictures, change = Pictures(data.examples, side, BUDGET), nearby_view(side, flips)
    for index, example in enumerate(pictures.examples):
        for time in range(times):
            view = change(pictures.view(index), np.random.default_rng((index, time)))
            there = replace(
                example, xyxy=view.xyxy, labels=view.labels, ignore=view.ignore, area=None
            )
            frame = np.ascontiguousarray(view.image_rgb[None, :, :, ::-1])
            yield there, frame, (side, side)


def divide(train: Dataset) -> tuple[Sequence[Example], Sequence[Example]]:
    """Examples to calibrate on and to learn from, and those held back from that to decide by.

    Too few, or without a box among those held back, and all serve for both.
    """
    held = train.examples[EVERY - 1 :: EVERY]
    rest = [example for number, example in enumerate(train.examples, 1) if number % EVERY]
    if len(train.examples) < FEW or not replace(train, examples=held).class_counts().sum():
        return train.examples, train.examples
    return rest, held
