"""A data set of small objects made of one of large ones: its pictures shrunk into k x k grids.

    python scripts/shrink_into_grids.py raccoon.yaml GRIDS --side 4

writes GRIDS/card.yaml with train and val. Only the data's train split is used: a quarter of it is
kept out for val, as in `compare_recipes.py`, so its own val split still decides nothing. Pictures
are dealt out anew for every round of grids.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from compare_recipes import KEPT_OUT
from paste_mosaics import GRAY, annotations

from detector.data.example import Dataset, Example
from detector.data.load import load_splits, open_card
from detector.data.split import split_dataset
from detector.errors import DetectorError
from detector.images import read_image
from detector.outfile import make_folder, write_whole

PX = 960  # of a grid
CARD = """name: {name}
root: .
format: coco
splits: {{train: train/instances.json, val: val/instances.json}}
"""


def main(
    data: tyro.conf.Positional[str], out: tyro.conf.Positional[Path], /, side: int = 4
) -> None:
    """Shrink and write.

    Args:
        data: A data card or a folder.
        out: A new folder.
        side: Pictures along each side of a grid.
    """
    if not make_folder(out, "OUT"):
        raise DetectorError(f"{out}: is there already; name a new folder")
    parts = split_dataset(load_splits(data)["train"], KEPT_OUT, 0)
    for name, part, rounds in zip(("train", "val"), parts, (side**2 // 2, side // 2), strict=True):
        if len(part.examples) < side**2:
            have = f"{len(part.examples)} pictures for {name}"
            raise DetectorError(f"{data}: {have}, fewer than a grid has: choose a smaller --side")
        table = grids(part, side, max(1, rounds), out / name / "images")
        write_whole(out / name / "instances.json", json.dumps(table).encode(), "OUT")
        print(f"{name}: {len(table['images'])} grids, {len(table['annotations'])} boxes")
    card = CARD.format(name=f"{open_card(data).name}-{side}x{side}")
    write_whole(out / "card.yaml", card.encode(), "OUT")


def grids(part: Dataset, side: int, rounds: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Write grids of side x side pictures; their labels, as COCO has them.

    A picture is in one grid a round, or, of those that fill none, in none.
    """
    folder.mkdir(parents=True)
    rng, names = random.Random(1), part.class_names
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    table["categories"] = [{"id": label, "name": name} for label, name in enumerate(names, 1)]
    for _ in range(rounds):
        examples = list(part.examples)
        rng.shuffle(examples)
        for first in range(0, len(examples) - side**2 + 1, side**2):
            number = len(table["images"]) + 1
            canvas = np.full((PX, PX, 3), GRAY, np.uint8)
            for place in range(side**2):
                corner = place % side * (PX // side), place // side * (PX // side)
                for row in shrunk(examples[first + place], PX // side, canvas, corner):
                    row |= {"id": len(table["annotations"]) + 1, "image_id": number}
                    table["annotations"].append(row)
            name = f"{number:04d}.jpg"
            write_whole(folder / name, cv2.imencode(".jpg", canvas)[1].tobytes(), "OUT")
            image = {"id": number, "file_name": name, "width": PX, "height": PX}
            table["images"].append(image)
    return table


def shrunk(
    example: Example, longest: int, canvas: np.ndarray, corner: tuple[int, int]
) -> list[dict[str, Any]]:
    """Draw a picture at `corner` (x, y), its longest side as given; COCO's rows of its boxes."""
    image = read_image(example.path)
    scale = longest / max(image.shape[:2])
    wh = [max(1, round(pixels * scale)) for pixels in image.shape[1::-1]]
    small = cv2.resize(image, wh, interpolation=cv2.INTER_AREA)
    canvas[corner[1] : corner[1] + wh[1], corner[0] : corner[0] + wh[0]] = small
    ours = Example(
        example.path, example.xyxy * np.float32(scale), example.labels, example.ignore, None, ""
    )
    return annotations(ours, corner)


if __name__ == "__main__":
    tyro.cli(main)
