"""End to end on a video: the demo, the bare engine, OpenCV's usual loop, and each stage's time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from detector.benchmark.engines import OpenCvDetector
from detector.camera import open_source
from detector.draw import draw_detections
from detector.engine import Engine
from detector.errors import DetectorError
from detector.live import LiveRun
from detector.predictor import Detector
from detector.preprocess import to_batch
from detector.views import NoView

UInt8 = npt.NDArray[np.uint8]
STAGES = {
    "read": "read and decode a frame",
    "pre": "resize",
    "infer": "network",
    "post": "threshold and NMS",
    "draw": "draw",
}


@dataclass(frozen=True)
class VideoLap:
    """One round: frames done, seconds taken, and for stages timed singly their milliseconds."""

    frames: int
    seconds: float
    stages: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


Contestant = Callable[[], VideoLap]


def read_frames(video: str, count: int) -> list[UInt8]:
    """The first `count` frames (or all there are) of a video; DetectorError when there is none."""
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

    def one_round() -> VideoLap:
        with ThreadPoolExecutor(engine.parallel) as pool:
            start = time.perf_counter()
            for _ in pool.map(engine.infer, batches):
                pass
            return VideoLap(len(batches), time.perf_counter() - start)

    return one_round


def demo_loop(detector: Detector, video: str, frames: int) -> Contestant:
    """The demo without a view: read, resize, infer, suppress, draw; all side by side."""

    def one_round() -> VideoLap:
        source = open_source(video)
        try:
            with _opencv_threads(1):  # as the demo has it
                run = LiveRun(source, detector, NoView(), [], lambda line: None, max_frames=frames)
                start = time.perf_counter()
                done = run.run().frames
                return VideoLap(done, time.perf_counter() - start)
        finally:
            source.close()

    return one_round


def one_by_one(detector: Detector, video: str, frames: int) -> Contestant:
    """The demo's work with nothing side by side, so that each stage's time is its own."""

    def one_round() -> VideoLap:
        stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
        start = before = time.perf_counter()
        with _opencv_threads(1):
            for frame in decoded(video, frames):
                stages["read"].append(1e3 * (time.perf_counter() - before))
                found, timing = detector.detect_timed(frame)
                drawn = time.perf_counter()
                draw_detections(frame, found)
                before = time.perf_counter()
                stages["draw"].append(1e3 * (before - drawn))
                stages["pre"].append(timing.pre_ms)
                stages["infer"].append(timing.infer_ms)
                stages["post"].append(timing.post_ms)
        return VideoLap(len(stages["draw"]), time.perf_counter() - start, stages)

    return one_round


def opencv_loop(net: OpenCvDetector, video: str, frames: int, threads: int) -> Contestant:
    """The usual loop around OpenCV's DNN module, on the same file and with the same thresholds."""

    def one_round() -> VideoLap:
        done, start = 0, time.perf_counter()
        with _opencv_threads(threads):
            for frame in decoded(video, frames):
                boxes, scores = net.infer(to_batch(frame, net.size_hw))
                _draw_usual(frame, boxes, scores, net)
                done += 1
        return VideoLap(done, time.perf_counter() - start)

    return one_round


def decoded(video: str, frames: int) -> Iterator[UInt8]:
    """At most `frames` frames of a video, each read when it is asked for."""
    capture = cv2.VideoCapture(video)
    try:
        for _ in range(frames):
            ok, frame = capture.read()
            if not ok:
                return
            yield np.asarray(frame, np.uint8)
    finally:
        capture.release()


@contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    """OpenCV with `count` threads, for a while."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _draw_usual(
    frame: UInt8,
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    like: OpenCvDetector,
) -> None:
    labels = scores.argmax(1)
    best = scores.max(1)
    (rows,) = np.nonzero(best >= like.limits.score)
    height, width = frame.shape[:2]
    xyxy = boxes[rows] * np.array([width, height, width, height], np.float32)
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1).astype(np.float64)
    classes = labels[rows].astype(np.int32)
    kept = cv2.dnn.NMSBoxesBatched(xywh, best[rows], classes, 0.0, like.limits.iou)  # type: ignore[arg-type]
    for k in kept:
        x1, y1, x2, y2 = (int(v) for v in xyxy[k])
        text = f"{like.class_names[labels[rows[k]]]} {best[rows[k]]:.0%}"
        cv2.rectangle(frame, (x1, y1), (x2, y2), (0, 255, 0), 2)
        cv2.putText(frame, text, (x1, y1 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0), 1)
