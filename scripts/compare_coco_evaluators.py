"""How much faster faster-coco-eval gives COCO's figures than pycocotools, and that they are equal.

    python scripts/compare_coco_evaluators.py --pictures 10000

Truth and detections are made at random, like those of COCO: some 7 boxes and 100 detections a
picture, 80 classes, crowds and equal scores among them. The two take turns, each in a process of
its own; times are CPU seconds of the whole way from pictures to the twelve figures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from detector.detections import Detections
from detector.evaluation.analysis import Picture
from detector.evaluation.coco import coco_arrays, coco_figures
from detector.evaluation.table import tabulate

CLASSES, BOXES, FOUND = 80, 7, 100
LIBRARIES = ("pycocotools", "faster_coco_eval")


def make_pictures(count: int, seed: int = 0) -> list[Picture]:
    """`count` pictures of 640x480; detections lie about the truth with any overlap, or anywhere."""
    rng = np.random.default_rng(seed)
    names = tuple(str(label) for label in range(CLASSES))
    pictures = []
    for number in range(count):
        truths = int(rng.poisson(BOXES))
        boxes, labels = _boxes(rng, truths), rng.integers(0, CLASSES, truths)
        near = rng.integers(0, max(truths, 1), FOUND // 2 if truths else 0)
        moved = boxes[near] + rng.normal(0, 8, (len(near), 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        elsewhere = FOUND - len(near)
        found = Detections(
            np.concatenate([moved, _boxes(rng, elsewhere)]).astype(np.float32),
            np.sort(rng.random(FOUND).round(3).astype(np.float32))[::-1].copy(),
            np.concatenate([labels[near], rng.integers(0, CLASSES, elsewhere)]),
            names,
        )
        crowd = rng.random(truths) < 0.01
        path = Path(f"{number}.jpg")
        pictures.append(Picture(path, (640, 480), boxes.astype(np.float32), labels, crowd, found))
    return pictures


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, [560, 400], (count, 2))
    sides = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
    return np.concatenate([corners, np.minimum(corners + sides, [640, 480])], axis=1)


def timed(count: int, library: str) -> tuple[float, dict[str, float]]:
    """Seconds from the pictures to the twelve figures, and the figures."""
    pictures = make_pictures(count)
    start = time.process_time()
    figures = coco_figures(coco_arrays(tabulate(pictures, CLASSES), library))
    return time.process_time() - start, figures


def main() -> None:
    """Print a line a round, then medians, their ratio and the greatest difference of a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    figures: dict[str, dict[str, float]] = {}
    for number in range(words.rounds):
        for library in LIBRARIES:
            with get_context("spawn").Pool(1) as pool:
                took, figures[library] = pool.apply(timed, (words.pictures, library))
            seconds[library].append(took)
            print(f"round {number + 1}: {library:<17}{took:8.1f} s of CPU", flush=True)
    slow, fast = (statistics.median(seconds[library]) for library in LIBRARIES)
    a, b = (np.array(list(figures[library].values())) for library in LIBRARIES)
    print(f"medians: {slow:.1f} s and {fast:.1f} s, {slow / fast:.1f} times as fast")
    print(f"greatest difference of the twelve figures: {np.abs(a - b).max():.1e} points")


if __name__ == "__main__":
    main()
