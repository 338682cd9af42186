"""What a person watches while a run goes on: a line that renews itself."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import TextIO

import lightning as L
from torch import Tensor

from detector.training.callbacks import AP, Pace
from detector.training.hooks import StepCallback

SMOOTH = 0.95  # share of the past in the losses shown
EVERY_TERMINAL, EVERY_FILE = 0.5, 15.0  # seconds between lines, on a screen and in a log
WIDTH = 20


class ProgressLine(StepCallback):
    """Progress, losses, AP, pictures a second and time left, on `stream`.

    batch: pictures a step on all devices together.
    """

    def __init__(self, pace: Pace, batch: int, stream: TextIO | None = None) -> None:
        self.pace, self.batch = pace, batch
        self.stream = sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self._losses: dict[str, float] = {}
        self._steps = 0
        self._shown = self._start = 0.0
        self._ap = math.nan

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Speed is that of this start."""
        self._steps, self._start = 0, time.monotonic()

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """Renew the line now and then."""
        self._steps += 1
        kept = min(SMOOTH, 1 - 1 / self._steps)
        for name in ("class", "box"):
            value = float(losses[name])
            self._losses[name] = kept * self._losses.get(name, value) + (1 - kept) * value
        now = time.monotonic()
        if now - self._shown >= (EVERY_TERMINAL if self.terminal else EVERY_FILE):
            self._shown = now
            self._write(self.line(trainer.global_step))

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """A line that stays."""
        self._ap = float(trainer.callback_metrics[AP])
        self._write(self.line(trainer.global_step))
        if self.terminal:
            print(file=self.stream, flush=True)

    def line(self, step: int) -> str:
        """The line at `step`."""
        clock = self.pace.clock
        done = clock.progress(step)
        bar = ("#" * round(done * WIDTH)).ljust(WIDTH, ".")
        speed = self._steps * self.batch / max(time.monotonic() - self._start, 1e-9)
        losses = "  ".join(f"{name} {value:.3f}" for name, value in self._losses.items())
        of = f"/{clock.steps}" if clock.steps else ""
        ap = "" if math.isnan(self._ap) else f"  mAP {self._ap:.1f} (best {self.pace.best:.1f})"
        left = clock.left(step)
        return (
            f"{done:4.0%} {bar} step {step}{of}  {losses}{ap}  {speed:.1f} pictures/s"
            f"  {duration(left)} left"
        )

    def _write(self, line: str) -> None:
        if self.terminal:
            print(f"\r\x1b[K{line}", end="", file=self.stream, flush=True)
        else:
            print(line, file=self.stream, flush=True)


def duration(seconds: float) -> str:
    """`4:07`, `1:02:33`; `?` for no number."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
