"""Made pictures to learn from, and a network small enough to learn them in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

COLOURS = {"disc": (40, 40, 220), "square": (220, 120, 30)}  # BGR


def draw(name: str, seed: int, side: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A noisy gray picture with one coloured shape, and the shape's box."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 150, (side, side, 3), dtype=np.uint8)
    half = int(rng.integers(side // 6, side // 3))
    x, y = (int(v) for v in rng.integers(half, side - half, 2))
    if name == "disc":
        cv2.circle(image, (x, y), half, COLOURS[name], -1)
    else:
        cv2.rectangle(image, (x - half, y - half), (x + half, y + half), COLOURS[name], -1)
    return image, (x - half, y - half, x + half, y + half)


@pytest.fixture(scope="session")
def make_shapes() -> Callable[..., Path]:
    """make_shapes(folder, train=12, val=4): YOLO, a disc or a square each."""

    def make(
        folder: Path,
        train: int = 12,
        val: int = 4,
        names: tuple[str, ...] = ("disc", "square"),
        side: int = 96,
    ) -> Path:
        for split, count in (("train", train), ("val", val)):
            for kind in ("images", "labels"):
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                label = i % len(names)
                seed = i + (1000 if split == "val" else 0)
                image, (x1, y1, x2, y2) = draw(tuple(COLOURS)[label % 2], seed, side)
                path = folder / split / "images" / f"{split}{i}.png"
                path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
                box = (x1 + x2) / 2 / side, (y1 + y2) / 2 / side, (x2 - x1) / side, (y2 - y1) / side
                line = f"{label} {' '.join(f'{v:.5f}' for v in box)}\n"
                (folder / split / "labels" / f"{split}{i}.txt").write_text(line)
        lines = ["train: train/images", "val: val/images", f"names: [{', '.join(names)}]"]
        (folder / "data.yaml").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture(scope="session")
def shapes(make_shapes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 pictures to learn from and 4 to judge by; do not change them."""
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes")
