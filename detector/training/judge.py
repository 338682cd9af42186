"""How good the network is on the validation split: pycocotools' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from detector.data.account import counted
from detector.data.example import Example
from detector.data.split import thinned
from detector.detections import Detections
from detector.errors import DetectorError, OutOfMemoryError
from detector.evaluation.analyse import analyse
from detector.evaluation.analysis import Analysis
from detector.evaluation.coco import measure_pictures
from detector.evaluation.run import SCORE, detect_pictures, in_pixels, labelled
from detector.images import read_image
from detector.predictor import Detector
from detector.preprocess import to_batch

MOST = 1000  # pictures measured during a run; the files it leaves are measured on all


class Judge:
    """The validation pictures as the runtime sees them, and what should be found in them.

    images: (V, 3, S, S) uint8 RGB. failed: why a picture could not be read, one line each; those
    are left out.
    """

    def __init__(self, examples: Sequence[Example], class_names: Sequence[str], side: int) -> None:
        self.class_names = tuple(class_names)
        self.failed: list[str] = []
        images: list[Tensor] = []
        self.examples: list[Example] = []
        self.sizes_wh: list[tuple[int, int]] = []
        for example in thinned(examples, MOST):
            try:
                frame = read_image(example.path)
            except OutOfMemoryError:
                raise
            except DetectorError as error:
                self.failed.append(str(error))
                continue
            rgb = np.ascontiguousarray(to_batch(frame, (side, side))[0, ..., ::-1])
            images.append(torch.from_numpy(rgb).permute(2, 0, 1))
            self.sizes_wh.append((frame.shape[1], frame.shape[0]))
            self.examples.append(example)
        if not images:
            raise DetectorError(
                f"none of {counted(len(examples), 'val picture')} can be read; the first: "
                f"{self.failed[0]}"
            )
        self.images = torch.stack(images).contiguous(memory_format=torch.channels_last)

    def __call__(self, found: Sequence[Detections]) -> dict[str, float]:
        """Figures in percent for detections on each picture, boxes as fractions of it."""
        pictures = [
            labelled(example, size_wh, in_pixels(one, size_wh))
            for example, size_wh, one in zip(self.examples, self.sizes_wh, found, strict=True)
        ]
        return measure_pictures(pictures, len(self.class_names))


@dataclass(frozen=True)
class Measured:
    """A model file on all validation pictures that can be read; latency: milliseconds a picture."""

    analysis: Analysis
    latency_ms: float


def measure(model: Path, examples: Sequence[Example], class_names: Sequence[str]) -> Measured:
    """Run a model file on pictures, as a user would, one at a time.

    class_names: of the examples' labels; the model may know others, in another order.

    Unreadable pictures are left out: they were counted when the run began.
    """
    detector = Detector(model, score=SCORE)
    run = detect_pictures(detector, examples, class_names)
    analysis = analyse(run.pictures, class_names)
    return Measured(analysis, float(np.median(run.infer_ms)))
