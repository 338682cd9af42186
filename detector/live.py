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

from detector.autosize import AutoSize
from detector.banner import draw_banner
from detector.detections import Detections
from detector.draw import draw_detections, draw_overlay
from detector.errors import DetectorError
from detector.frame import Frame, Source
from detector.predictor import Detector, Timing
from detector.sinks import Sink, save_snapshot
from detector.stats import RunStats
from detector.views import NoView, View

UInt8 = npt.NDArray[np.uint8]
Work = tuple[Frame, "Future[tuple[Detections, Timing]]"]

IDLE_S = 0.05  # how long to wait for a frame before looking at keys again
OVERLAY_S = 0.25  # how often the numbers on the picture change: faster cannot be read
EARLY_FRAMES = 10
LONGEST_PACE_S = 1.0  # keys wait as long
SCORE_STEP = 0.05
HELP = ("q, Esc  quit", "space  pause", "s  save this frame", "+ -  threshold", "h  this help")


class Say(Protocol):
    """Prints one line to the user."""

    def __call__(self, line: str) -> None: ...


@dataclass
class LiveRun:
    """One run of the pipeline; `run` until the source ends, the user quits or `stop` is set.

    say: prints one line to the user. max_frames: stop after so many, 0 for all. overlay: draw the
    numbers on the picture. pace_fps: show at most so many frames a second (a file for eyes); None:
    as fast as it goes. hold: keep the last picture of a file on the view until the user quits.
    snapshots: where the `s` key saves.
    """

    source: Source
    detector: Detector | AutoSize
    view: View
    sinks: Sequence[Sink]
    say: Say
    stop: Event = field(default_factory=Event)
    max_frames: int = 0
    overlay: bool = True
    pace_fps: float | None = None
    hold: bool = False
    snapshots: Path = Path("snapshots")
    stats: RunStats = field(default_factory=RunStats)

    def __post_init__(self) -> None:
        self.score = self.detector.score
        self._pending: deque[Work] = deque()
        self._taken = 0
        self._paused = self._help = False
        self._lines: list[str] = []
        self._figures: dict[str, float | int | str] = {}
        self._refreshed_at = self._shown_at = -OVERLAY_S
        self._idle_why = ""
        self._shown: tuple[Frame, Detections] | None = None
        # A live frame is taken only when nothing is before it. For files there is one thread more
        # than the engine has streams, so that none idles while another frame is resized or
        # sifted (8 % more frames a second on 2 cores), and two frames in reserve, so that all go
        # on while this thread draws. "network" times of files thus include the wait for a stream.
        parallel = self.detector.engine.parallel
        self._workers = parallel if self.source.is_live else parallel + 1
        self._depth = 1 if self.source.is_live else self._workers + 2
        self._dropped_before = self.source.dropped

    def run(self) -> RunStats:
        """Process frames; raises SourceLostError when a live source is gone for good."""
        with ThreadPoolExecutor(self._workers, "infer") as pool:
            try:
                while not self.stop.is_set():
                    self._take(pool, IDLE_S if not self._pending else 0.0)
                    if self._pending:
                        frame, future = self._pending.popleft()
                        found, timing = future.result()
                        try:  # the next inference runs while this frame is drawn
                            self._take(pool, 0.0)
                        finally:  # also when the source is lost at this moment
                            self._finish(frame, found, timing)
                    elif self._no_more() and not (self._paused or self._holds()):
                        break
                    else:
                        self._idle()
            finally:
                for _, future in self._pending:
                    future.cancel()
                self._count_dropped()
        return self.stats

    def _count_dropped(self) -> None:
        self.stats.dropped = self.source.dropped - self._dropped_before

    def _no_more(self) -> bool:
        return self.source.ended or self._enough()

    def _enough(self) -> bool:
        return 0 < self.max_frames <= self._taken

    def _holds(self) -> bool:
        return self.hold and self._shown is not None and not self._enough()

    def _take(self, pool: ThreadPoolExecutor, wait_s: float) -> None:
        """Start inference on new frames while there is room; wait for the first at most `wait_s`.

        With nothing to come, the wait is spent all the same: the caller looks at keys in a loop.
        """
        if self._paused or self._no_more():
            self.stop.wait(wait_s if self._paused or self._holds() else 0.0)
            return
        while len(self._pending) < self._depth and not self._enough():
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
        self._refresh(start, at_once=self._figures.get("status") != self.source.status)
        # Pauses and snapshots show it without numbers and help; without keys there are none.
        still = image if isinstance(self.view, NoView) else image.copy()
        draw_overlay(image, self._lines, corner="bottom-left")
        self.stats.add("draw", 1e3 * (time.perf_counter() - start))
        self._wait_for_turn()
        self._shown = (Frame(still, frame.index, frame.captured_at, frame.name), found)
        self._idle_why = ""
        self.view.show(image, self._figures)
        self._keys()  # a window paints now; before saving, so that what is seen is young
        if self.source.is_live:
            self.stats.add("age", 1e3 * (time.perf_counter() - frame.captured_at))
        for sink in self.sinks:
            sink.write(frame, image, found)
        self.stats.add("pre", timing.pre_ms)
        self.stats.add("infer", timing.infer_ms)
        self.stats.add("post", timing.post_ms)
        self.stats.finished(len(found))

    def _wait_for_turn(self) -> None:
        """Hold a frame back until `pace_fps` allows it; one that comes late shifts the rest."""
        if self.pace_fps:
            due = self._shown_at + min(1 / self.pace_fps, LONGEST_PACE_S)
            now = time.perf_counter()
            self.stop.wait(max(0.0, due - now))
            self._shown_at = max(due, now)

    def _refresh(self, now: float, *, at_once: bool = False) -> None:
        """Bring overlay and figures up to date, a few times a second: percentiles cost."""
        early = self.stats.frames < EARLY_FRAMES  # the first numbers are not yet worth keeping
        if now - self._refreshed_at < OVERLAY_S and not at_once and not early:
            return
        self._refreshed_at = now
        self._count_dropped()
        figures = self.stats.as_dict()
        self._figures = figures | {"score": self.score, "paused": int(self._paused)}
        self._figures["status"] = self.source.status
        network = figures.get("infer_ms_p50", 0)
        lines = [f"{figures['fps']:.0f} fps  network {network:.1f} ms  score {self.score:.2f}"]
        if self.source.is_live:
            ages = [figures.get(f"age_ms_p{q}", 0) for q in (50, 95)]
            lines.append(f"age {ages[0]:.0f} / {ages[1]:.0f} ms  dropped {figures['dropped']}")
        self._lines = (lines if self.overlay else []) + list(HELP if self._help else ())

    def _idle(self) -> None:
        """Nothing new: say why over the last picture, once and then a few times a second."""
        why = self.source.status or ("paused: space goes on" if self._paused else "")
        if not why and self._no_more():
            why = "the end: q quits"
        now = time.perf_counter()
        if self._shown is not None and why:
            fresh = now - self._refreshed_at < OVERLAY_S and why == self._idle_why
            if not fresh:
                self._idle_why = why
                self._refresh(now, at_once=True)
                image = self._shown[0].image_bgr.copy()
                draw_overlay(image, self._lines, corner="bottom-left")
                draw_banner(image, why)
                self.view.show(image, self._figures)
        self._keys()

    def _keys(self) -> None:
        pressed = self.view.keys()
        for key in pressed:
            if key in ("q", "esc", "closed"):
                self.stop.set()
            elif key == " ":
                self._paused = not self._paused
            elif key == "h":
                self._help = not self._help
            elif key in ("+", "-"):
                lowest = min(SCORE_STEP, self.score)
                moved = self.score + (SCORE_STEP if key == "+" else -SCORE_STEP)
                self.score = round(min(1.0, max(lowest, moved)), 2)
                self.say(f"threshold {self.score:.2f}")
            elif key == "s":
                self._save_shown()
            self._refreshed_at = -OVERLAY_S  # show at once what the key did

    def _save_shown(self) -> None:
        if self._shown is None:
            return
        frame, found = self._shown
        try:
            self.say(f"saved {save_snapshot(self.snapshots, frame, frame.image_bgr, found)}")
        except DetectorError as error:  # a full disk must not end a run that does not need it
            self.say(f"not saved: {error}")
