"""Speed, measured side by side: every contestant runs in each round, so drift hits all alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from detector.camera import open_source
from detector.cpu import usable_cores
from detector.engine import Engine, import_openvino
from detector.errors import DetectorError
from detector.live import LiveRun
from detector.predictor import Detector
from detector.preprocess import to_batch
from detector.views import NoView

UInt8 = npt.NDArray[np.uint8]
Contestant = Callable[[], float]  # one round: frames a second


def read_frames(video: str, count: int) -> list[UInt8]:
    """The first `count` frames (or all there are) of a video."""
    source = open_source(video)
    frames: list[UInt8] = []
    try:
        while len(frames) < count and not source.ended:
            frame = source.read(5.0)
            if frame is not None:
                frames.append(frame.image_bgr)
    finally:
        source.close()
    if not frames:
        raise DetectorError(f"{video}: no frame to measure on; expected a video file")
    return frames


def network_only(engine: Engine, batches: Sequence[UInt8]) -> Contestant:
    """Inference alone on frames already resized, from as many threads as the engine has streams."""

    def one_round() -> float:
        with ThreadPoolExecutor(engine.parallel) as pool:
            start = time.perf_counter()
            for _ in pool.map(engine.infer, batches):
                pass
            return len(batches) / (time.perf_counter() - start)

    return one_round


def demo_loop(detector: Detector, video: str, frames: int) -> Contestant:
    """The demo without a view: read, resize, infer, suppress, draw."""

    def one_round() -> float:
        source = open_source(video)
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # as the demo does; OpenCV's own network wants them back
        try:
            run = LiveRun(source, detector, NoView(), [], lambda line: None, max_frames=frames)
            start = time.perf_counter()
            return run.run().frames / (time.perf_counter() - start)
        finally:
            cv2.setNumThreads(threads)
            source.close()

    return one_round


def opencv_loop(detector: Detector, video: str, frames: int) -> Contestant:
    """The usual loop around OpenCV's DNN module, on the same file and with the same thresholds."""
    net = cv2.dnn.readNetFromONNX(str(detector.path))
    size_wh = detector.size_hw[::-1]

    def one_round() -> float:
        capture = cv2.VideoCapture(video)
        start, done = time.perf_counter(), 0
        while done < frames:
            ok, frame = capture.read()
            if not ok:
                break
            net.setInput(cv2.resize(frame, size_wh)[None])
            boxes, scores = net.forward(["boxes", "scores"])
            _draw_usual(np.asarray(frame, np.uint8), boxes[0], scores[0], detector)
            done += 1
        capture.release()
        return done / (time.perf_counter() - start)

    return one_round


def _draw_usual(
    frame: UInt8, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], like: Detector
) -> None:
    labels = scores.argmax(1)
    best = scores.max(1)
    (rows,) = np.nonzero(best >= like.score)
    height, width = frame.shape[:2]
    xyxy = boxes[rows] * np.array([width, height, width, height], np.float32)
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1).astype(np.float64)
    kept = cv2.dnn.NMSBoxesBatched(xywh, best[rows], labels[rows].astype(np.int32), 0.0, like.iou)  # type: ignore[arg-type]
    for k in kept:
        x1, y1, x2, y2 = (int(v) for v in xyxy[k])
        text = f"{like.class_names[labels[rows[k]]]} {best[rows[k]]:.0%}"
        cv2.rectangle(frame, (x1, y1), (x2, y2), (0, 255, 0), 2)
        cv2.putText(frame, text, (x1, y1 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0), 1)


def batches_of(frames: Sequence[UInt8], size_hw: tuple[int, int]) -> list[UInt8]:
    """Every frame as the network takes it."""
    return [to_batch(frame, size_hw) for frame in frames]


def interleave(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """One warm-up round of each, then `rounds` in turn: frames a second by contestant and round."""
    for contestant in contestants.values():
        contestant()
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            figures[name].append(contestant())
    return figures


def table(figures: Mapping[str, Sequence[float]], against: str) -> list[str]:
    """A markdown table: median, lowest and highest frames/s, and the ratio round by round."""
    lines = ["| what | frames/s | lowest - highest | ms a frame | ratio |", "|---|---|---|---|---|"]
    for name, values in figures.items():
        middle = float(np.median(values))
        ratio = share(figures, name, against)
        lines.append(
            f"| {name} | {middle:.1f} | {min(values):.1f} - {max(values):.1f} "
            f"| {1e3 / middle:.2f} | {ratio:.2f} |"
        )
    return lines


def share(figures: Mapping[str, Sequence[float]], of: str, against: str) -> float:
    """Median over the rounds of one contestant's frames/s as a share of another's."""
    return float(np.median(np.divide(figures[of], figures[against])))


def machine() -> str:
    """Processor, cores and versions in one line."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{_processor()}, {usable_cores()} cores{load}; {platform.system()}, Python "
        f"{platform.python_version()}, OpenVINO {import_openvino().__version__.split('-')[0]}, "
        f"OpenCV {cv2.__version__}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
