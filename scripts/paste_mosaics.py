"""Large pictures of small objects, with exact labels: labelled pictures pasted side by side.

    python scripts/paste_mosaics.py PICTURES OUT --side 3

writes mosaics of 3x3 pictures (the last one of what is left) to OUT/images as PNG, and
OUT/instances.json. Every picture keeps its pixels: nothing is scaled, so areas, and with them what
COCO calls small, stay as they are. Pictures of like shape go together; what is left open is gray.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro

from detector.data.example import Example
from detector.data.load import load_judged
from detector.errors import DetectorError
from detector.images import read_image
from detector.outfile import make_folder, write_whole

GRAY = 128


def main(
    pictures: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path], /, side: int = 3
) -> None:
    """Paste and write.

    Args:
        pictures: Labelled data.
        out: A new folder.
        side: Pictures along each side of a mosaic.
    """
    dataset = load_judged(pictures).dataset
    if not make_folder(out, "OUT"):
        raise DetectorError(f"{out}: is there already; name a new folder")
    make_folder(out / "images", "OUT")
    # By shape, so that a row's pictures are of one height and little is left open.
    frames = {example.path: read_image(example.path).shape[:2] for example in dataset.examples}
    examples = sorted(dataset.examples, key=lambda example: frames[example.path])
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    table["categories"] = [{"id": k, "name": n} for k, n in enumerate(dataset.class_names, 1)]
    ids = count(1)
    for number in range(math.ceil(len(examples) / side**2)):
        group = examples[number * side**2 : (number + 1) * side**2]
        canvas, corners = paste(group, side)
        name = f"{number + 1:03d}.png"
        write_whole(out / "images" / name, cv2.imencode(".png", canvas)[1].tobytes(), "OUT")
        height, width = canvas.shape[:2]
        image = {"id": number + 1, "file_name": name, "width": width, "height": height}
        table["images"].append(image)
        for example, corner in zip(group, corners, strict=True):
            for row in annotations(example, corner):
                table["annotations"].append({"id": next(ids), "image_id": number + 1, **row})
    write_whole(out / "instances.json", json.dumps(table).encode(), "OUT")
    print(f"{len(table['images'])} mosaics, {len(table['annotations'])} boxes: {out}")


def paste(group: Sequence[Example], side: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Rows of `side` pictures each, and where the left top corner (x, y) of each came to lie."""
    images = [read_image(example.path) for example in group]
    rows = [images[start : start + side] for start in range(0, len(images), side)]
    width = max(sum(image.shape[1] for image in row) for row in rows)
    height = sum(max(image.shape[0] for image in row) for row in rows)
    canvas = np.full((height, width, 3), GRAY, np.uint8)
    corners, top = [], 0
    for row in rows:
        left = 0
        for image in row:
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
            corners.append((left, top))
            left += image.shape[1]
        top += max(image.shape[0] for image in row)
    return canvas, corners


def annotations(example: Example, corner: tuple[int, int]) -> list[dict[str, Any]]:
    """COCO's rows for the boxes of one picture, moved by `corner` (x, y)."""
    wh = example.xyxy[:, 2:] - example.xyxy[:, :2]
    areas = wh.prod(axis=1) if example.area is None else example.area
    return [
        {
            "category_id": int(label) + 1,
            "bbox": [*map(float, xyxy[:2] + corner), *map(float, size)],
            "area": float(area),
            "iscrowd": int(crowd),
        }
        for xyxy, size, label, area, crowd in zip(
            example.xyxy, wh, example.labels, areas, example.ignore, strict=True
        )
    ]


if __name__ == "__main__":
    tyro.cli(main)
