"""What `--tiles` should be: AP over overlaps, margins and the borders between whole and tiles.

    python scripts/choose_tiles.py PICTURES --along 2 --overlap 0.2 --most 0.5 0.75

prints a table in markdown. PICTURES is labelled data that no figure is reported on: what is chosen
here must not be chosen on what it is judged by.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from choose_scales import COLUMNS, SCORE, Candidates, measure, merged

from detector.cpu import usable_cores
from detector.cutting import OVERLAP
from detector.data.load import load_judged
from detector.engine import Engine, load_engine
from detector.images import read_image
from detector.metadata import read
from detector.predictor import choose_file
from detector.preprocess import to_batch
from detector.tiles import LEAST, MARGIN, MOST, in_frame, looks


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
            found = []
            for one in seen:
                pairs = zip(one.found, plan(one.frame_hw, along, side, side), strict=True)
                answers = [given.of(look.answers(given.xyxy)) for given, look in pairs]
                found.append(merged(answers, one.frame_hw, about.class_names, about.iou))
            row = measure(dataset, found, about.class_names)
            print(f"| {share}, {inner}, {low}, {high} | {row} |", flush=True)


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


if __name__ == "__main__":
    tyro.cli(main)
