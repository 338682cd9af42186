"""What `--tiles` should be: AP over overlaps, margins and the borders between whole and tiles.

    python scripts/choose_tiles.py PICTURES --along 2 --overlap 0.2 --most 0.5 0.75

prints a table in markdown. PICTURES is labelled data that no figure is reported on: what is chosen
here must not be chosen on what it is judged by.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from choose_scales import COLUMNS, SCORE, TOP_K, Candidates

from detector.cpu import usable_cores
from detector.data.example import Dataset
from detector.data.load import load_judged
from detector.detections import Detections, nms
from detector.engine import Engine, load_engine
from detector.evaluation.coco import measure_pictures
from detector.evaluation.run import Seen, collect
from detector.images import read_image
from detector.metadata import read
from detector.predictor import choose_file
from detector.preprocess import to_batch
from detector.tiles import LEAST, MARGIN, MOST, OVERLAP, Look, in_frame, looks


@dataclass(frozen=True)
class Looked:
    """A picture's size, and what every look at it gave: candidates as fractions of the frame."""

    frame_hw: tuple[int, int]
    found: list[Candidates]


def main(
    pictures: tyro.conf.Positional[Path],
    /,
    along: int = 2,
    overlap: tuple[float, ...] = (OVERLAP,),
    margin: tuple[float, ...] = (MARGIN,),
    least: tuple[float, ...] = (LEAST,),
    most: tuple[float, ...] = (MOST,),
    precision: str = "float",
) -> None:
    """Measure every combination, with the embedded model.

    Args:
        pictures: Labelled data.
        along: Tiles along the longer side.
        overlap: Of neighbours, as shares of a tile's side.
        margin: How near an inner border is cut off, as shares of a tile's side.
        least: Smallest objects of the coarser tiles, as shares of the native size.
        most: Largest objects of the finer ones, likewise.
        precision: float or int8.
    """
    path = choose_file("coco", precision)
    about, cores = read(path), usable_cores()
    side = about.input_size
    engine = load_engine(path, (side, side), name="openvino", threads=cores, streams=cores)
    dataset = load_judged(pictures).dataset
    paths = [example.path for example in dataset.examples]
    print(f"| overlap, margin, least, most | {' | '.join(COLUMNS)} |")
    print(f"|---|{'---|' * len(COLUMNS)}")
    for share in overlap:
        with ThreadPoolExecutor(cores) as pool:
            seen = list(pool.map(partial(look_at, engine, side, along, share), paths))
        for inner, low, high in itertools.product(margin, least, most):
            plan = partial(looks, overlap=share, margin=inner, least=low, most=high)
            found = [
                merged(one, plan(one.frame_hw, along, side, side), about.class_names, about.iou)
                for one in seen
            ]
            figures = measure(dataset, found, about.class_names)
            row = " | ".join(f"{figures[name]:.2f}" for name in COLUMNS)
            print(f"| {share}, {inner}, {low}, {high} | {row} |", flush=True)


def measure(dataset: Dataset, found: Sequence[Seen], names: tuple[str, ...]) -> dict[str, float]:
    """COCO's figures of what was found in every picture; names: of the model's classes."""
    run = collect(zip(dataset.examples, found, strict=True), names, dataset.class_names)
    return measure_pictures(run.pictures, len(dataset.class_names))


def look_at(engine: Engine, side: int, along: int, overlap: float, path: Path) -> Looked:
    """What every look at a picture gives, before any is told what to answer for."""
    frame = read_image(path)
    frame_hw = frame.shape[0], frame.shape[1]
    found = []
    for look in looks(frame_hw, along, side, side, overlap=overlap):
        boxes, scores = engine.infer(to_batch(look.tile.view(frame), (side, side)))
        rows, labels = np.nonzero(scores >= SCORE)
        placed = in_frame(boxes[rows], look.tile, frame_hw)
        found.append(Candidates(placed, scores[rows, labels], labels))
    return Looked(frame_hw, found)


def merged(one: Looked, plan: Sequence[Look], names: tuple[str, ...], iou: float) -> Seen:
    """As `detector.tiles` and `select` do it, on the few boxes that were kept."""
    rows = [look.answers(c.xyxy) for look, c in zip(plan, one.found, strict=True)]
    height, width = one.frame_hw
    scale = np.array([width, height, width, height], np.float32)
    pairs = list(zip(one.found, rows, strict=True))
    xyxy = np.concatenate([c.xyxy[r] for c, r in pairs]).clip(0, 1) * scale
    scores = np.concatenate([c.scores[r] for c, r in pairs])
    labels = np.concatenate([c.labels[r] for c, r in pairs])
    kept = nms(xyxy, scores, labels, iou, TOP_K)
    return Seen((width, height), Detections(xyxy[kept], scores[kept], labels[kept], names))


if __name__ == "__main__":
    tyro.cli(main)
