"""The pipeline: frames from a source, through the detector, drawn, to a view and to sinks.

Capture runs in the source's own thread and inference in a pool's; drawing, showing and saving in
the calling thread, which desktop windows insist on. A live source is asked for a frame only when an
inference can start at once, so nothing ever waits behind an old frame; a file's frames are kept in
order and a few are on their way at a time, so that every core has work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detector.detections import Detections
from detector.draw import draw_detections, draw_overlay
from detector.frame import Frame, Source
from detector.predictor import Detector, Timing
from detector.sinks import Sink, save_snapshot
from detector.stats import RunStats
from detector.views import View

UInt8 = npt.NDArray[np.uint8]
Work = tuple[Frame, "Future[tuple[Detections, Timing]]"]

IDLE_S = 0.05  # how long to wait for a frame before looking at keys again
OVERLAY_S = 0.25  # how often the numbers on the picture change: faster cannot be read
SCORE_STEP = 0.05
HELP = ("q, Esc  quit", "space  pause", "s  save this frame", "+ -  threshold", "h  this help")


class Say(Protocol):
    """Prints one line to the user."""

    def __call__(self, line: str) -> None: ...


@dataclass
class LiveRun:
    """One run of the pipeline; `run` until the source ends, the user quits or `stop` is set.

    overlay: draw the numbers on the picture. max_frames: stop after so many, 0 for all.
    snapshots: where the `s` key saves. say: prints one line to the user.
    """

    source: Source
    detector: Detector
    view: View
    sinks: Sequence[Sink]
    say: Say
    stop: Event = field(default_factory=Event)
    max_frames: int = 0
    overlay: bool = True
    snapshots: Path = Path("snapshots")
    stats: RunStats = field(default_factory=RunStats)

    def __post_init__(self) -> None:
        self.score = self.detector.score
        self._pending: deque[Work] = deque()
        self._taken = 0
        self._paused = self._help = False
        self._lines: list[str] = []
        self._figures: dict[str, float | int | str] = {}
        self._refreshed_at = -OVERLAY_S
        self._shown: tuple[Frame, Detections] | None = None
        # A live frame is taken only when nothing is before it; files keep one frame in reserve.
        parallel = self.detector.engine.parallel
        self._depth = 1 if self.source.is_live else parallel + 1
        self._dropped_before = self.source.dropped

    def run(self) -> RunStats:
        """Process frames; raises SourceLostError when a live source is gone for good."""
        with ThreadPoolExecutor(self.detector.engine.parallel, "infer") as pool:
            try:
                while not self.stop.is_set():
                    self._take(pool, IDLE_S if not self._pending else 0.0)
                    if self._pending:
                        frame, future = self._pending.popleft()
                        found, timing = future.result()
                        self._take(pool, 0.0)  # the next inference runs while this frame is drawn
                        self._finish(frame, found, timing)
                    elif self._no_more():
                        break
                    else:
                        self._idle()
                    self._keys()
            finally:
                for _, future in self._pending:
                    future.cancel()
        self.stats.dropped = self.source.dropped - self._dropped_before
        return self.stats

    def _no_more(self) -> bool:
        return self.source.ended or bool(self.max_frames and self._taken >= self.max_frames)

    def _take(self, pool: ThreadPoolExecutor, wait_s: float) -> None:
        """Start inference on new frames while there is room; wait for the first at most `wait_s`."""
        if self._paused:
            time.sleep(wait_s)
        while not self._paused and len(self._pending) < self._depth:
            if self.max_frames and self._taken >= self.max_frames:
                return
            frame = self.source.read(wait_s)
            if frame is None:
                return
            wait_s = 0.0
            self._taken += 1
            work = pool.submit(self.detector.detect_timed, frame.image_bgr, self.score)
            self._pending.append((frame, work))

    def _finish(self, frame: Frame, found: Detections, timing: Timing) -> None:
        """Draw, show and save one frame, and note what it took."""
        start = time.perf_counter()
        image = frame.image_bgr  # ours alone from here on: drawn on in place
        if not image.flags.writeable:
            image = image.copy()
        draw_detections(image, found)
        self._refresh(start)
        if self.overlay:
            draw_overlay(image, self._lines)
        self.stats.add("draw", 1e3 * (time.perf_counter() - start))
        for sink in self.sinks:
            sink.write(frame, image, found)
        self.view.show(image, self._figures)
        self._shown = (Frame(image, frame.index, frame.captured_at, frame.name), found)
        for stage, ms in zip(("pre", "infer", "post"), vars(timing).values(), strict=True):
            self.stats.add(stage, ms)
        if self.source.is_live:
            self.stats.add("age", 1e3 * (time.perf_counter() - frame.captured_at))
        self.stats.finished(len(found))

    def _refresh(self, now: float, *, at_once: bool = False) -> None:
        """Bring overlay and figures up to date, a few times a second: percentiles cost."""
        if now - self._refreshed_at < OVERLAY_S and not at_once:
            return
        self._refreshed_at = now
        self.stats.dropped = self.source.dropped - self._dropped_before
        figures = self.stats.as_dict()
        state = {"score": self.score, "status": self.source.status, "paused": int(self._paused)}
        self._figures = {**figures, **state}
        self._lines = [f"{figures['fps']:.0f} fps   network {figures.get('infer_ms_p50', 0):.1f} ms"]
        if self.source.is_live:
            ages = [figures.get(f"age_ms_p{q}", 0) for q in (50, 95)]
            dropped = figures["dropped"]
            self._lines.append(f"age {ages[0]:.0f} / {ages[1]:.0f} ms   dropped {dropped}")
        self._lines += list(HELP) if self._help else []

    def _idle(self) -> None:
        """Nothing new: say why over the last picture."""
        why = "paused" if self._paused else self.source.status
        if self._shown is None or not why:
            return
        self._refresh(time.perf_counter(), at_once=True)
        image = self._shown[0].image_bgr.copy()
        draw_overlay(image, [why, *(HELP if self._help else ())])
        self.view.show(image, self._figures)

    def _keys(self) -> None:
        for key in self.view.keys():
            if key in ("q", "esc", "closed"):
                self.stop.set()
            elif key == " ":
                self._paused = not self._paused
            elif key == "h":
                self._help = not self._help
                self._refreshed_at = -OVERLAY_S
            elif key in ("+", "-"):
                moved = self.score + (SCORE_STEP if key == "+" else -SCORE_STEP)
                self.score = round(min(1.0, max(SCORE_STEP, moved)), 2)
                self.say(f"threshold {self.score:.2f}")
            elif key == "s" and self._shown is not None:
                frame, found = self._shown
                self.say(f"saved {save_snapshot(self.snapshots, frame, frame.image_bgr, found)}")
