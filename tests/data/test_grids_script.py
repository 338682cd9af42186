"""Grids of shrunk pictures: whole labels, and only of the train split."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from script_rows import output_of

from detector.data.load import load_splits


def squares(folder: Path, count: int) -> Path:
    """Gray pictures of 60x40 with a white square each, at (10, 10, 30, 30); YOLO."""
    for split, number in (("train", count), ("val", 2)):
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for n in range(number):
            image = np.full((40, 60, 3), 40 + n, np.uint8)
            image[10:30, 10:30] = 255
            cv2.imwrite(str(folder / split / "images" / f"{split}{n}.png"), image)
            row = f"0 {20 / 60} {20 / 40} {20 / 60} {20 / 40}"
            (folder / split / "labels" / f"{split}{n}.txt").write_text(row)
    (folder / "data.yaml").write_text("train: train/images\nval: val/images\nnames: [square]\n")
    return folder


@pytest.mark.slow
def test_boxes_lie_on_their_objects(tmp_path: Path) -> None:
    said = output_of(
        "shrink_into_grids.py", squares(tmp_path / "data", 16), tmp_path / "grids", "--side", "2"
    )
    assert said.splitlines() == ["train: 6 grids, 24 boxes", "val: 1 grids, 4 boxes"]
    splits = load_splits(tmp_path / "grids" / "card.yaml")
    for example in (*splits["train"].examples, *splits["val"].examples):
        image = cv2.imread(str(example.path))
        assert image.shape == (960, 960, 3)
        assert len(example.xyxy) == 4
        for x1, y1, x2, y2 in example.xyxy.astype(int):
            assert (x2 - x1, y2 - y1) == (160, 160)
            assert image[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].min() > 240
            assert image[y1 - 8, x1 + 80].max() < 100


@pytest.mark.slow
def test_too_few_for_a_grid(tmp_path: Path) -> None:
    data = squares(tmp_path / "data", 8)
    said = output_of("shrink_into_grids.py", data, tmp_path / "grids", "--side", "3", code=1)
    assert "6 pictures for train, fewer than a grid has: choose a smaller --side" in said
