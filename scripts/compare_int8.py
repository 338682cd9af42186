"""What int8 saves: size and time of each network, float against int8, from random weights.

    python scripts/compare_int8.py PICTURES

prints a table in markdown. PICTURES is a folder of real pictures, which batch norms get their
statistics from and int8 its ranges: neither size nor time depends on what was learned. Float and
int8 take turns on the same picture, and times are the median of their ratios.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import nn

from detector.benchmark.rounds import ratio, take_turns
from detector.commands.quantize import pictures_in
from detector.data.split import thinned
from detector.export.frames import Frames
from detector.export.onnx import to_onnx, write
from detector.export.quantize import float_graph, int8_graph, with_notes
from detector.export.restore import int8_layers
from detector.export.sensitivity import drift, outputs
from detector.model.checkpoint import ModelCard, build, images_to_input
from detector.model.ssdlite import SSDLite
from detector.predictor import Detector

NETWORKS = (
    *(f"mobilenet_v1 {width}" for width in (0.25, 0.5, 0.75, 1.0)),
    *(f"mobilenet_v2 {width}" for width in (0.35, 0.5, 0.75, 1.0)),
    *(f"mobilenet_v3_small {width}" for width in (0.5, 0.75, 1.0)),
    *(f"mobilenet_v3_large {width}" for width in (0.5, 0.75, 1.0)),
)
MOST, COMPARED, WARM_UP = 24, 12, 5  # pictures that calibrate, that are compared, rounds


def main(
    pictures: tyro.conf.Positional[Path],
    /,
    networks: tuple[str, ...] = NETWORKS,
    size: int = 224,
    classes: int = 1,
    rounds: int = 100,
    threads: int = 1,
) -> None:
    """Compare.

    Args:
        pictures: Folder of pictures.
        networks: Backbones and their widths, each as "mobilenet_v2 0.5".
        size: Side of the input in pixels.
        classes: How many the networks know.
        rounds: How often float and int8 have their turn.
        threads: Cores to use.
    """
    frames = Frames(thinned(pictures_in(pictures), MOST), size)
    print("| network | width | float MB | int8 MB | float / int8 time | int8 layers | change |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for network in networks:
        backbone, width = network.split()
        with tempfile.TemporaryDirectory() as folder:
            floats, int8 = Path(folder) / "model.onnx", Path(folder) / "model-int8.onnx"
            layers, change = _write(floats, int8, backbone, float(width), classes, frames)
            sides = " | ".join(f"{path.stat().st_size / 1e6:.2f}" for path in (floats, int8))
            faster = time_ratio(floats, int8, frames, rounds, threads)
        row = f"{sides} | {faster:.1f} | {layers} | {change:.2f}"
        print(f"| {backbone} | {width} | {row} |", flush=True)


def _write(
    floats: Path, int8: Path, backbone: str, width: float, classes: int, frames: Frames
) -> tuple[int, float]:
    """Write both files; how many layers are int8, and how far it moves scores and boxes."""
    names = tuple(f"class {label}" for label in range(classes))
    card = ModelCard(names, width, backbone, input_size=frames.side)
    write(floats, to_onnx(with_statistics(card, frames), card, {}))
    graph = float_graph(floats)
    with contextlib.redirect_stdout(sys.stderr):  # progress is no part of the table
        made = int8_graph(graph, frames)
    write(int8, with_notes(made, floats, {}))
    shown = thinned(frames, COMPARED)
    return len(int8_layers(made)), drift(outputs(graph, shown), outputs(made, shown))


@torch.no_grad()
def with_statistics(card: ModelCard, frames: Sequence[np.ndarray]) -> SSDLite:
    """The network of a card, its weights random, its batch norms' statistics those of pictures."""
    torch.manual_seed(0)
    model = build(card).train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # all pictures count alike
    for first in range(0, len(frames), 16):
        batch = torch.from_numpy(np.concatenate(frames[first : first + 16]))
        model(images_to_input(batch.flip(3).permute(0, 3, 1, 2)))
    return model.eval()


def time_ratio(
    floats: Path, int8: Path, frames: Sequence[np.ndarray], rounds: int, threads: int
) -> float:
    """How many times as long the float file takes."""
    engines = {path: Detector(path, threads=threads).engine for path in (floats, int8)}

    def timed(path: Path) -> Callable[[], float]:
        turns = iter(range(WARM_UP + rounds))

        def run() -> float:
            frame = frames[next(turns) % len(frames)]
            start = time.perf_counter()
            engines[path].infer(frame)
            return time.perf_counter() - start

        return run

    laps = take_turns({path: timed(path) for path in engines}, WARM_UP + rounds, lambda line: None)
    return ratio(laps[floats][WARM_UP:], laps[int8][WARM_UP:])


if __name__ == "__main__":
    tyro.cli(main)
