"""Which objects each pass of `--scales` should answer for: AP over a grid of borders.

    python scripts/choose_scales.py PICTURES --scales 300,512

prints a table in markdown. PICTURES is labelled data that no figure is reported on: what is chosen
here must not be chosen on what it is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from detector.cpu import usable_cores
from detector.data.example import Dataset, Example
from detector.data.load import load_judged
from detector.detections import Detections, nms
from detector.engine import load_engine
from detector.evaluation.coco import measure_pictures
from detector.evaluation.run import Seen, collect
from detector.images import read_image
from detector.metadata import read
from detector.predictor import choose_file
from detector.preprocess import to_batch
from detector.scales import Share, in_order, shares, within

SCORE = 0.02  # below, nothing changes AP by 0.01, and the lists grow tenfold
TOP_K = 100
LEAST, MOST = (0.15, 0.2, 0.25, 0.3, 0.4), (0.4, 0.5, 0.6, 0.75)
COLUMNS = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")


@dataclass(frozen=True)
class Candidates:
    """What one pass says of one picture: C boxes as fractions, with scores and labels."""

    xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def of(self, rows: np.ndarray) -> Candidates:
        """Some of them: indices or a mask."""
        return Candidates(self.xyxy[rows], self.scores[rows], self.labels[rows])


def main(
    pictures: tyro.conf.Positional[Path],
    /,
    scales: str = "300,512",
    model: str = "coco",
    precision: str = "float",
) -> None:
    """Measure every pair of borders.

    Args:
        pictures: Labelled data.
        scales: Sizes of the passes.
        model: Model file, or coco.
        precision: float or int8.
    """
    sizes = in_order([int(word) for word in scales.split(",")])
    path = choose_file(model, precision)
    about = read(path)
    dataset = load_judged(pictures).dataset
    frames = [read_image(example.path).shape[:2] for example in dataset.examples]
    passes = [_look(path, side, dataset.examples) for side in sizes]

    def row(title: str, chosen: Sequence[list[Candidates]], ranges: Sequence[Share]) -> None:
        seen = []
        for i, hw in enumerate(frames):
            pairs = zip([found[i] for found in chosen], ranges, strict=True)
            answers = [one.of(within(one.xyxy, *share)) for one, share in pairs]
            seen.append(merged(answers, hw, about.class_names, about.iou))
        print(f"| {title} | {measure(dataset, seen, about.class_names)} |", flush=True)

    print(f"| least, most | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for side, found in zip(sizes, passes, strict=True):
        row(f"{side} px alone", [found], [(0.0, np.inf)])
    for least in LEAST:
        for most in MOST:
            row(f"{least}, {most}", passes, shares(sizes, about.input_size, least, most))


def _look(path: Path, side: int, examples: Sequence[Example]) -> list[Candidates]:
    """One pass over all pictures."""
    cores = usable_cores()
    engine = load_engine(path, (side, side), name="openvino", threads=cores, streams=cores)

    def one(example: Example) -> Candidates:
        boxes, scores = engine.infer(to_batch(read_image(example.path), (side, side)))
        rows, labels = np.nonzero(scores >= SCORE)
        return Candidates(boxes[rows], scores[rows, labels], labels)

    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(one, examples))


def merged(
    found: Sequence[Candidates], frame_hw: tuple[int, ...], names: tuple[str, ...], iou: float
) -> Seen:
    """As `select` does it, on the few boxes that were kept of each pass."""
    height, width = frame_hw
    scale = np.array([width, height, width, height], np.float32)
    xyxy = np.concatenate([one.xyxy for one in found]).clip(0, 1) * scale
    scores = np.concatenate([one.scores for one in found])
    labels = np.concatenate([one.labels for one in found])
    kept = nms(xyxy, scores, labels, iou, TOP_K)
    return Seen((width, height), Detections(xyxy[kept], scores[kept], labels[kept], names))


def measure(dataset: Dataset, found: Sequence[Seen], names: tuple[str, ...]) -> str:
    """COLUMNS of what was found in every picture, as cells of a row. names: the model's classes."""
    run = collect(zip(dataset.examples, found, strict=True), names, dataset.class_names)
    figures = measure_pictures(run.pictures, len(dataset.class_names))
    return " | ".join(f"{figures[name]:.2f}" for name in COLUMNS)


if __name__ == "__main__":
    tyro.cli(main)
