"""Who runs against whom on a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from detector import metadata
from detector.benchmark.agreement import LOWEST_SCORE, as_found, disagreement
from detector.benchmark.engines import OpenCvDetector
from detector.benchmark.rounds import take_turns
from detector.benchmark.video import (
    Contestant,
    UInt8,
    VideoLap,
    decoded,
    demo_loop,
    network_only,
    one_by_one,
    opencv_loop,
    read_frames,
)
from detector.cpu import usable_cores
from detector.errors import DetectorError
from detector.predictor import Detector
from detector.preprocess import to_batch

OPENCV = "OpenCV DNN loop, float"  # what ratios are to
SINGLY = "one after another"


@dataclass(frozen=True)
class Contest:
    """frames: a round. laps: of each round, by contestant. notes: who could not take part."""

    frames: int
    laps: dict[str, list[VideoLap]]
    notes: list[str]

    @property
    def staged(self) -> dict[str, list[VideoLap]]:
        """The laps that time each stage."""
        return {name: laps for name, laps in self.laps.items() if laps[0].stages}


def hold(
    video: str,
    files: Mapping[str, Path],
    engines: Sequence[str],
    *,
    size: int | None,
    threads: int,
    rounds: int,
    frames: int,
    say: Callable[[str], None],
) -> Contest:
    """Run every engine on the first `frames` frames of a video, `rounds` times in turn.

    files: model files by precision. engines: of "openvino", "onnxruntime" and "opencv". size: of
    the network's input, None for the model's own. threads: 0 for all.
    Raises DetectorError for a video without frames, and when an engine that was asked for cannot be
    loaded; a file that OpenCV cannot read is a note.
    """
    threads = threads or usable_cores()
    shown = read_frames(video, frames)
    if not list(decoded(video, 1)):  # a camera or a folder: OpenCV's loop could not read it
        raise DetectorError(f"--source {video}: expected a video file")
    contestants, notes = _contestants(video, shown, files, engines, size, threads)
    if not contestants:
        raise DetectorError("; ".join(["benchmark: nothing is left to measure", *notes]))
    say("warm-up")
    for contestant in contestants.values():
        contestant()
    return Contest(len(shown), take_turns(contestants, rounds, say), notes)


def _contestants(
    video: str,
    shown: Sequence[UInt8],
    files: Mapping[str, Path],
    engines: Sequence[str],
    size: int | None,
    threads: int,
) -> tuple[dict[str, Contestant], list[str]]:
    """Everyone who can take part, and a note on everyone who cannot."""
    contestants: dict[str, Contestant] = {}
    notes: list[str] = []
    for engine, (precision, path) in product(engines, files.items()):
        if engine != "opencv":
            named = precision if engine == "openvino" else f"{precision}, {engine}"
            contestants |= _ours(video, shown, path, named, engine, size, threads)
            continue
        try:
            side = metadata.read(path).input_size if size is None else size
            net = OpenCvDetector(path, side, score=metadata.read(path).score, threads=threads)
        except DetectorError as error:
            notes.append(f"OpenCV DNN loop, {precision}: {error}")
            continue
        name = f"OpenCV DNN loop, {precision}"
        contestants[name] = opencv_loop(net, video, len(shown), threads)
        if doubt := _doubt(path, side, threads, shown[0]):
            notes.append(f"{name}: {doubt}; its row is the speed of that")
    return contestants, notes


def _doubt(path: Path, side: int, threads: int, frame: UInt8) -> str:
    """Where OpenCV finds something else in a frame than OpenVINO with the same file, else ''."""
    theirs = OpenCvDetector(path, side, score=LOWEST_SCORE, threads=threads)
    ours = Detector(path, size=side, threads=threads, score=LOWEST_SCORE)
    expected, found = (as_found(finder.detect_timed(frame)[0]) for finder in (ours, theirs))
    return disagreement(expected, found, "openvino", "the first frame")


def _ours(
    video: str,
    shown: Sequence[UInt8],
    path: Path,
    named: str,
    engine: str,
    size: int | None,
    threads: int,
) -> dict[str, Contestant]:
    """The network alone, its work frame by frame, and the demo, all with one engine."""
    single, many = (
        Detector(path, engine=engine, size=size, threads=threads, streams=streams)
        for streams in (1, threads)
    )
    batches = [to_batch(frame, single.size_hw) for frame in shown]
    return {
        f"network, 1 stream, {named}": network_only(single.engine, batches),
        f"network, {many.engine.parallel} streams, {named}": network_only(many.engine, batches),
        f"{SINGLY}, {named}": one_by_one(single, video, len(shown)),
        f"demo, {named}": demo_loop(many, video, len(shown)),
    }
