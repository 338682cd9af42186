"""What `--scales` and `--tiles` cost: one pass, several at once and one after another, in turn.

    python scripts/compare_scales_speed.py --scales 300,512 --tiles 2 3 --rounds 60

prints a table in markdown of ratios to the smallest size alone: medians over the rounds, in each of
which every contestant has one frame of the sample clip, or a picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tyro

from detector.benchmark.rounds import ratio, spread, take_turns
from detector.camera import open_source
from detector.images import read_image
from detector.predictor import Detector
from detector.scales import in_order


def main(
    scales: str = "300,512",
    tiles: tuple[int, ...] = (),
    rounds: int = 60,
    picture: Path | None = None,
) -> None:
    """Compare, in float and in int8.

    Args:
        scales: Sizes of the passes.
        tiles: Tiles along the longer side.
        rounds: How often each has its turn.
        picture: Instead of the sample clip: how many tiles there are depends on its shape.
    """
    cv2.setNumThreads(1)
    sizes = in_order([int(word) for word in scales.split(",")])
    frame_bgr = _sample() if picture is None else read_image(picture)
    print("| precision | what | ms | ratio |\n|---|---|---:|---:|")
    for precision in ("float", "int8"):
        contestants = _contestants(precision, sizes, tiles, frame_bgr)
        take_turns(contestants, 3, lambda line: None)  # warm-up
        laps = take_turns(contestants, rounds, lambda line: None)
        least = laps[f"{sizes[0]} px alone"]
        for name, times in laps.items():
            figures = f"{spread(times).middle:.1f} | {ratio(times, least):.2f}"
            print(f"| {precision} | {name} | {figures} |", flush=True)


def _sample() -> npt.NDArray[np.uint8]:
    with closing(open_source("sample")) as source:
        frame = source.read(5)
    assert frame is not None
    return frame.image_bgr


def _contestants(
    precision: str, sizes: list[int], tiles: Sequence[int], frame_bgr: npt.NDArray[np.uint8]
) -> dict[str, Callable[[], float]]:
    """Each gives the milliseconds one frame took."""
    alone = [Detector(precision=precision, size=side) for side in sizes]
    together = Detector(precision=precision, scales=sizes)
    tiled = [Detector(precision=precision, tiles=count) for count in tiles]
    each = {f"{one.at} alone": _timed([one], frame_bgr) for one in alone}
    each |= {one.at: _timed([one], frame_bgr) for one in tiled}
    return each | {
        "at once": _timed([together], frame_bgr),
        "one after another": _timed(alone, frame_bgr),
    }


def _timed(detectors: Sequence[Detector], frame_bgr: npt.NDArray[np.uint8]) -> Callable[[], float]:
    """What has every detector look at the frame, and gives the milliseconds it took."""

    def run() -> float:
        start = time.perf_counter()
        for detector in detectors:
            detector.detect_timed(frame_bgr)
        return 1e3 * (time.perf_counter() - start)

    return run


if __name__ == "__main__":
    tyro.cli(main)
