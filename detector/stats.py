"""How a run is going: frames a second and the spread of every stage's time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

KEPT = 10_000  # newest times of each stage that the summary's percentiles are taken over
SHOWN = 300  # and those that the view's are: they follow a change within seconds
FPS_WINDOW_S = 2.0
STAGES = {
    "age": "capture to display",
    "pre": "resize",
    "infer": "network",
    "post": "threshold and NMS",
    "draw": "draw",
}


class RunStats:
    """Collects times in milliseconds by stage, and the moments frames were finished.

    Stages: "age" from capture to display (live sources only), "pre" resizing, "infer" the network,
    "post" thresholds and NMS, "draw" boxes and overlay. Memory does not grow with the run.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.frames = 0
        self.detections = 0  # in the newest frame
        self.dropped = 0
        self._clock = clock
        self._first = self._last = 0.0
        self._recent: deque[float] = deque()
        self._times = {stage: _Newest() for stage in STAGES}

    def add(self, stage: str, ms: float) -> None:
        """Note one time of a stage, in milliseconds."""
        self._times[stage].add(ms)

    def finished(self, detections: int) -> None:
        """Note that a frame with so many detections is done."""
        now = self._last = self._clock()
        if self.frames == 0:
            self._first = now
        self.frames += 1
        self.detections = detections
        self._recent.append(now)
        while len(self._recent) > 2 and self._recent[0] < now - FPS_WINDOW_S:
            self._recent.popleft()

    @property
    def fps(self) -> float:
        """Frames a second over the last two seconds, sinking while none come; 0 before two."""
        if len(self._recent) < 2 or self._recent[-1] <= self._recent[0]:
            return 0.0
        rate = (len(self._recent) - 1) / (self._recent[-1] - self._recent[0])
        silence_s = self._clock() - self._last
        return rate if silence_s * rate <= 1 else 1 / silence_s

    @property
    def mean_fps(self) -> float | None:
        """Frames a second from the first finished frame to the last; None before the second."""
        span_s = self._last - self._first
        return (self.frames - 1) / span_s if self.frames > 1 and span_s > 0 else None

    def percentiles(self, stage: str, newest: int = KEPT) -> tuple[float, float] | None:
        """(p50, p95) in ms of a stage's `newest` times, at most KEPT; None before the first."""
        times = self._times[stage].values(newest)
        if times.size == 0:
            return None
        middle, high = np.percentile(times, (50, 95))
        return float(middle), float(high)

    def as_dict(self) -> dict[str, float | int | str]:
        """What the views show: fps, frames, detections, dropped, and STAGE_ms_p50 / _p95."""
        row: dict[str, float | int | str] = {
            "fps": round(self.fps, 1),
            "frames": self.frames,
            "detections": self.detections,
            "dropped": self.dropped,
        }
        for stage in STAGES:
            if (spread := self.percentiles(stage, SHOWN)) is not None:
                row[f"{stage}_ms_p50"], row[f"{stage}_ms_p95"] = (round(ms, 2) for ms in spread)
        return row

    def summary(self) -> list[str]:
        """The lines printed at the end of a run."""
        rate = "" if self.mean_fps is None else f", {self.mean_fps:.1f} frames/s"
        lines = [f"{self.frames} frame{'s' * (self.frames != 1)}{rate}, {self.dropped} dropped"]
        for stage, words in STAGES.items():
            if (spread := self.percentiles(stage)) is not None:
                middle, high = spread
                lines.append(f"  {words:<18} p50 {middle:7.2f} ms   p95 {high:7.2f} ms")
        return lines


class _Newest:
    """The newest KEPT numbers, in a ring."""

    def __init__(self) -> None:
        self._ring = np.zeros(KEPT)
        self._count = 0

    def add(self, value: float) -> None:
        self._ring[self._count % KEPT] = value
        self._count += 1

    def values(self, newest: int) -> npt.NDArray[np.float64]:
        """The `newest` of them, oldest first."""
        kept = min(newest, self._count, KEPT)
        found: npt.NDArray[np.float64] = self._ring[
            np.arange(self._count - kept, self._count) % KEPT
        ]
        return found
