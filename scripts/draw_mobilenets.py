"""Draws the pictures of docs/mobilenets.md from the networks of this repository.

Run: python scripts/draw_mobilenets.py [FOLDER]
Needs the train and v4 extras. The same code gives the same files, byte for byte.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mobilenet_pictures import charts, diagrams
from mobilenet_pictures.canvas import Canvas

from detector.outfile import write_whole

FOLDER = Path(__file__).parents[1] / "docs" / "mobilenets"
PICTURES: dict[str, Callable[[], Canvas]] = {
    "convolution": diagrams.convolution,
    "ratio": charts.ratio,
    "multipliers": charts.multipliers,
    "activations": charts.activations,
    "separable": diagrams.separable,
    "residual": diagrams.residual,
    "bottleneck": charts.bottleneck,
    "universal": diagrams.universal,
    "head": charts.head,
}


def main(folder: Path) -> None:
    """Write every picture; each file is whole or as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        path = folder / f"{name}.svg"
        content = draw().svg()
        write_whole(path, content, "FOLDER")
        print(f"{path}: {len(content) / 1000:.1f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
