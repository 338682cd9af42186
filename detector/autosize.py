"""An input size that follows the time there is: the largest that holds a frame rate."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.detections import Detections
from detector.easing import Easing
from detector.engine import Engine
from detector.errors import DetectorError
from detector.predictor import Detector, Timing

# Steps of a third to a half in cost; 300 is what most models were trained at.
LADDER = (128, 160, 192, 224, 256, 300, 352, 416, 512, 640)
AIM = 0.8  # share of a frame's time that a new size may take: the rest is for bad moments
BUSY = 0.95  # share from which the size is too large
# A size is judged by at least so many frames and so long: another program's start is over by then.
WINDOW, WINDOW_S = 12, 0.5
PATIENCE_S, MOST_PATIENCE_S = 2.0, 64.0  # how long there must be time to spare before a larger size
REGRET_S = 10.0  # a larger size that is given up so soon was a mistake; later, the load has changed

Start = Callable[[Callable[[], None]], object]


def in_background(work: Callable[[], None]) -> None:
    """Run `work` in a thread that the process waits for at its end.

    A daemon would be torn out of the engine's C++ there, which aborts the process.
    """
    threading.Thread(target=work, name="autosize").start()


def largest_within(ladder: Sequence[int], side: int, spent_s: float, allowed_s: float) -> int:
    """The largest size that takes at most `allowed_s` if `side` takes `spent_s`; else the smallest.

    Time goes with the area: the fixed part, which does not, only makes a step up more careful.
    """
    fitting = [one for one in ladder if spent_s * (one / side) ** 2 <= allowed_s]
    return max(fitting, default=min(ladder))


class AutoSize:
    """A Detector for one live picture after another, whose size holds `fps` as load changes.

    make: gives the Detector of a size; called in the background while the old one goes on, and its
    result takes over between two frames. say: is told of every change. ladder: the sizes to choose
    from. clock, start: what tells the time in seconds and runs work in the background.
    Frames are taken one at a time, in whatever thread they come.
    """

    def __init__(
        self,
        make: Callable[[int], Detector],
        fps: float,
        first: int = 300,
        *,
        say: Callable[[str], None] = lambda line: None,
        ladder: Sequence[int] = LADDER,
        clock: Callable[[], float] = time.perf_counter,
        start: Start = in_background,
    ) -> None:
        if not 0 < fps <= 1000:
            raise DetectorError(f"fps is {fps!r}; expected a number above 0, at most 1000")
        self._make, self._say, self._clock, self._start = make, say, clock, start
        self._frame_s, self._ladder = 1 / fps, sorted(set(ladder))
        self._current, self._side = make(first), first
        self._next: tuple[int, Detector] | None = None
        self._at_work = False
        self._spent: deque[tuple[float, float]] = deque()  # when a frame was done, what it took
        self._patience_s, self._raised_at = PATIENCE_S, -REGRET_S
        self._spare_since: float | None = None
        self._lock = threading.Lock()
        self._ease = Easing()

    @property
    def score(self) -> float:
        """The model's threshold."""
        return self._current.score

    @property
    def engine(self) -> Engine:
        """The engine of the size in use."""
        return self._current.engine

    @property
    def path(self) -> Path:
        """The model file."""
        return self._current.path

    @property
    def at(self) -> str:
        """The size in words."""
        return f"{self._side} px to begin with, then what holds {1 / self._frame_s:g} frames/s"

    @property
    def side(self) -> int:
        """The size in use, pixels."""
        return self._side

    def detect_timed(
        self, frame_bgr: npt.NDArray[np.uint8], score: float | None = None
    ) -> tuple[Detections, Timing]:
        """As `Detector.detect_timed`."""
        with self._lock:
            self._take_over()
            begun = self._clock()
            found, timing = self._current.detect_timed(frame_bgr, score)
            now = self._clock()
            if not self._at_work:  # compiling slows the frames beside it, which says nothing
                self._spent.append((now, now - begun))
                self._decide(now)
            return self._ease(found), timing

    def _take_over(self) -> None:
        """Swap to the size that was made ready, if one was."""
        if (ready := self._next) is None:
            return
        self._next = None
        before, (self._side, self._current) = self._side, ready
        self._at_work, self._spare_since = False, None
        if self._side > before:
            self._raised_at = self._clock()
        self._spent.clear()
        self._ease.begin()
        self._say(f"size {before} -> {self._side} px")

    def _decide(self, now: float) -> None:
        """Order another size if this one is too slow, or there has long been time for a larger."""
        while len(self._spent) > WINDOW and now - self._spent[1][0] >= WINDOW_S:
            self._spent.popleft()
        if len(self._spent) < WINDOW or now - self._spent[0][0] < WINDOW_S:
            return
        taken = sorted(seconds for _, seconds in self._spent)
        spent = taken[3 * len(taken) // 4]  # a quarter of the frames may be late
        wanted = largest_within(self._ladder, self._side, spent, AIM * self._frame_s)
        if spent > BUSY * self._frame_s:
            if wanted < self._side:
                # A size that could not be held is tried again only after twice the time.
                regret = now - self._raised_at < REGRET_S
                longer = min(2 * self._patience_s, MOST_PATIENCE_S)
                self._patience_s = longer if regret else PATIENCE_S
                self._order(wanted)
        elif wanted <= self._side:
            self._spare_since = None
        elif self._spare_since is None:
            self._spare_since = now
        elif now - self._spare_since >= self._patience_s:
            self._order(wanted)

    def _order(self, side: int) -> None:
        self._at_work = True

        def work() -> None:
            try:
                self._next = side, self._make(side)
            except Exception as error:  # the size in use goes on; this one is not asked for again
                self._ladder = [one for one in self._ladder if one != side] or [self._side]
                self._at_work = False
                self._say(f"size {side} px cannot be had ({error}): staying at {self._side}")

        self._start(work)
