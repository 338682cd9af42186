"""How good the network is on the validation split: pycocotools' figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detector.data.example import Example
from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.coco import coco_ap, coco_results
from detector.images import read_image
from detector.outfile import write_whole
from detector.predictor import Detector
from detector.preprocess import to_batch

MOST = 1000  # pictures measured during a run; the files it leaves are measured on all


class Judge:
    """The validation pictures as the runtime sees them, and what should be found in them.

    images: (V, 3, S, S) uint8 RGB. failed: why a picture could not be read, one line each; those
    are left out. place: the file that the truth is written to, in COCO's format.
    """

    def __init__(
        self, examples: Sequence[Example], class_names: Sequence[str], side: int, place: Path
    ) -> None:
        self.place, self.class_names = place, tuple(class_names)
        self.failed: list[str] = []
        images: list[Tensor] = []
        kept: list[Example] = []
        self.sizes_wh: list[tuple[int, int]] = []
        for example in thinned(examples, MOST):
            try:
                frame = read_image(example.path)
            except DetectorError as error:
                self.failed.append(str(error))
                continue
            rgb = np.ascontiguousarray(to_batch(frame, (side, side))[0, ..., ::-1])
            images.append(torch.from_numpy(rgb).permute(2, 0, 1))
            self.sizes_wh.append((frame.shape[1], frame.shape[0]))
            kept.append(example)
        if not images:
            raise DetectorError(f"none of {len(examples)} val pictures can be read: {self.failed}")
        self.images = torch.stack(images).contiguous(memory_format=torch.channels_last)
        self._truth = coco_truth(kept, self.sizes_wh, class_names)

    def __call__(self, found: Sequence[Detections]) -> dict[str, float]:
        """Figures in percent for detections on each picture, boxes as fractions of it."""
        results: list[dict[str, object]] = []
        ids = range(1, len(self.class_names) + 1)
        for number, (one, (width, height)) in enumerate(zip(found, self.sizes_wh, strict=True)):
            scale = np.array([width, height, width, height], np.float32)
            results += coco_results(replace(one, xyxy=one.xyxy * scale), number + 1, ids)
        return figures(self.place, self._truth, results)


@dataclass(frozen=True)
class Measured:
    """A model file on all validation pictures: AP figures in percent, milliseconds a picture."""

    figures: dict[str, float]
    latency_ms: float
    pictures: int


def measure(model: Path, examples: Sequence[Example], place: Path) -> Measured:
    """Run a model file on pictures, as a user would, one at a time; unreadable ones are left out.

    place: a file for the truth, in COCO's format.
    """
    detector = Detector(model, score=0.001, precision="auto")
    results: list[dict[str, object]] = []
    kept: list[Example] = []
    sizes: list[tuple[int, int]] = []
    spent: list[float] = []
    ids = range(1, len(detector.class_names) + 1)
    for example in examples:
        try:
            frame = read_image(example.path)
        except DetectorError:
            continue  # counted when the run began, and `pictures` says how many are left
        found, timing = detector.detect_timed(frame)
        kept.append(example)
        sizes.append((frame.shape[1], frame.shape[0]))
        spent.append(timing.infer_ms)
        results += coco_results(found, len(kept), ids)
    truth = coco_truth(kept, sizes, detector.class_names)
    return Measured(figures(place, truth, results), float(np.median(spent)), len(kept))


def figures(
    place: Path, truth: dict[str, Any], results: Sequence[dict[str, object]]
) -> dict[str, float]:
    """COCO's figures in percent of results against a truth, which is written to `place`."""
    write_whole(place, json.dumps(truth).encode(), "--out")
    return coco_ap(place, results)


def coco_truth(
    examples: Sequence[Example], sizes_wh: Sequence[tuple[int, int]], class_names: Sequence[str]
) -> dict[str, Any]:
    """The examples in COCO's format, pictures numbered from 1, boxes clipped to them.

    Boxes to ignore become crowds, which cost nothing whether found or not. Boxes without area
    inside their picture are left out.
    """
    annotations: list[dict[str, object]] = []
    for number, (example, (width, height)) in enumerate(zip(examples, sizes_wh, strict=True)):
        boxes = np.clip(example.xyxy, 0, np.array([width, height, width, height], np.float32))
        for (x1, y1, x2, y2), label, ignore in zip(
            boxes.tolist(), example.labels.tolist(), example.ignore.tolist(), strict=True
        ):
            if x2 <= x1 or y2 <= y1:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(ignore),
                }
            )
    return {
        "images": [
            {"id": i + 1, "width": w, "height": h, "file_name": example.path.name}
            for i, (example, (w, h)) in enumerate(zip(examples, sizes_wh, strict=True))
        ],
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(class_names)],
    }


def thinned(examples: Sequence[Example], most: int) -> list[Example]:
    """At most `most` of the examples, evenly spread."""
    if len(examples) <= most:
        return list(examples)
    return [examples[i] for i in np.linspace(0, len(examples) - 1, most).astype(int)]
