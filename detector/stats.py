"""How a run is going: frames a second and the spread of every stage's time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

KEPT = 10_000  # newest values of each stage that percentiles are taken over
FPS_WINDOW_S = 2.0
STAGES = ("age", "pre", "infer", "post", "draw")


class RunStats:
    """Collects times in milliseconds by stage, and the moments frames were finished.

    Stages: "age" from capture to display (live sources only), "pre" resizing, "infer" the network,
    "post" thresholds and NMS, "draw" boxes and overlay.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.frames = 0
        self.detections = 0
        self.dropped = 0
        self._clock = clock
        self._started: float | None = None
        self._last = 0.0
        self._recent: deque[float] = deque()
        self._values: dict[str, deque[float]] = {stage: deque(maxlen=KEPT) for stage in STAGES}

    def add(self, stage: str, ms: float) -> None:
        """Note one time of a stage, in milliseconds."""
        self._values[stage].append(ms)

    def finished(self, detections: int) -> None:
        """Note that a frame with so many detections is done."""
        now = self._clock()
        self._started = now if self._started is None else self._started
        self._last = now
        self.frames += 1
        self.detections = detections
        self._recent.append(now)
        while self._recent[0] < now - FPS_WINDOW_S:
            self._recent.popleft()

    @property
    def fps(self) -> float:
        """Frames a second over the last two seconds; 0 before the second frame."""
        span = self._recent[-1] - self._recent[0] if len(self._recent) > 1 else 0.0
        return (len(self._recent) - 1) / span if span > 0 else 0.0

    @property
    def mean_fps(self) -> float:
        """Frames a second from the first finished frame to the last; 0 before the second."""
        span = self._last - (self._started or 0.0)
        return (self.frames - 1) / span if self.frames > 1 and span > 0 else 0.0

    def percentile(self, stage: str, q: float) -> float | None:
        """The q-th percentile of a stage in milliseconds; None before its first value."""
        values = self._values[stage]
        return float(np.percentile(values, q)) if values else None

    def as_dict(self) -> dict[str, float | int | str]:
        """What the views show: fps, frames, detections, dropped, and STAGE_ms_p50 / _p95."""
        row: dict[str, float | int | str] = {
            "fps": round(self.fps, 1),
            "frames": self.frames,
            "detections": self.detections,
            "dropped": self.dropped,
        }
        for stage in STAGES:
            for q in (50, 95):
                value = self.percentile(stage, q)
                if value is not None:
                    row[f"{stage}_ms_p{q}"] = round(value, 2)
        return row

    def summary(self) -> list[str]:
        """The lines printed at the end of a run."""
        lines = [f"{self.frames} frames, {self.mean_fps:.1f} frames/s, {self.dropped} dropped"]
        for stage, words in zip(
            STAGES,
            ("capture to display", "resize", "network", "threshold and NMS", "draw"),
            strict=True,
        ):
            middle, high = self.percentile(stage, 50), self.percentile(stage, 95)
            if middle is not None and high is not None:
                lines.append(f"  {words:<18} p50 {middle:7.2f} ms   p95 {high:7.2f} ms")
        return lines
