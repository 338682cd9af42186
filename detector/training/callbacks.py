"""What happens around the steps of a run: its average, its end, its measurements, its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from detector.training.hooks import StepCallback
from detector.training.interrupt import Interrupt
from detector.training.plan import MEASURING_SHARE
from detector.training.recipe import Clock, ema_step
from detector.training.start import Start, start_fields

AP = "val/AP"
LAST, BEST = "last.ckpt", "best.ckpt"


class MovingAverage(WeightAveraging):
    """Lightning's weight averaging with this project's decay; batch norms' statistics too.

    every: steps between the points where processes that train together are alike: weights in
    between are one process's own and have no place in it.
    """

    def __init__(self, decay: float, every: int = 1) -> None:
        def step(average: Tensor, value: Tensor, updates: Tensor | int) -> Tensor:
            return ema_step(average, value, int(updates), decay, every)

        super().__init__(avg_fn=step)
        self.every = every

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether weights after step `step_idx` (from 0) count."""
        return step_idx is not None and (step_idx + 1) % self.every == 0


class Pace(StepCallback):
    """Has AP measured `times` a run, and ends it: when the clock says so or nothing gets better.

    patience: measurements without a better AP after which to stop; 0: never. every: as
    `MovingAverage`'s; nothing happens in between, where `apart` is true.
    """

    def __init__(self, clock: Clock, times: int, patience: int, every: int = 1) -> None:
        self.clock, self.times, self.patience, self.every = clock, times, patience, every
        self.apart = False
        self.best, self.best_step, self.stale = -1.0, 0, 0
        self.finished = False
        self.improved = False  # by the last measurement
        self.due = False  # a measurement follows this step
        self._marked = 0
        self._measuring = 0.0  # seconds
        self._since = 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Time counts from here."""
        self.clock.start()
        self._marked = self._mark(trainer.global_step)
        trainer.val_check_batch = math.inf

    def _mark(self, step: int) -> int:
        return math.floor(self.clock.progress(step) * self.times + 1e-9)

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """Decide whether to measure now, and whether this was the last step."""
        self.apart = trainer.global_step % self.every != 0
        if self.apart:
            self.due, trainer.val_check_batch = False, math.inf
            return
        self.clock.tick()
        mark = self._mark(trainer.global_step)
        dear = self._measuring > MEASURING_SHARE * self.clock.elapsed()
        self.due = mark > self._marked and not (self.clock.seconds and dear)
        if self.due:
            self._marked = mark
        # Lightning looks at this number next: after every batch, or never.
        trainer.val_check_batch = 1 if self.due else math.inf
        if self.clock.progress(trainer.global_step) >= 1:
            self.finished = trainer.should_stop = True  # Lightning measures once more, then stops

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The time measuring takes is counted."""
        self.clock.tick()
        self._since = self.clock.elapsed()

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Remember the best."""
        self.clock.tick()
        self._measuring += self.clock.elapsed() - self._since
        ap = float(trainer.callback_metrics[AP])
        self.stale = 0 if ap > self.best else self.stale + 1
        self.improved = ap >= self.best  # a nan never is; of equals, what learned longer
        if self.improved:
            self.best, self.best_step = ap, trainer.global_step
        if self.patience and self.stale >= self.patience:
            self.finished = trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        kept = ("best", "best_step", "stale", "finished")
        return {**{name: getattr(self, name) for name in kept}, "seconds": self.clock.elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.clock.spent = state_dict.pop("seconds")
        for name, value in state_dict.items():
            setattr(self, name, value)


class Keep(StepCallback):
    """Writes last.ckpt every `seconds` and after each measurement, best.ckpt when AP is better.

    And last.ckpt when Ctrl-C or SIGTERM ends a run of one process: several would not be in the same
    step. Stands behind `Pace` and the average in the trainer's list, whose state it saves.
    """

    def __init__(self, folder: Path, start: Start, pace: Pace, seconds: float) -> None:
        self.folder, self.start, self.pace, self.seconds = folder, start, pace, seconds
        self._saved = 0.0
        self._interrupt = Interrupt()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """What it starts from is saved already, or not worth it."""
        self._saved = self.pace.clock.elapsed()
        if trainer.world_size == 1:
            self._interrupt.begin()

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """Save when it is time, but not between a step and its measurement.

        A run that went on from there would never make up for the measurement.
        """
        if self.pace.apart or self.pace.due or self.pace.finished:
            return
        late = self.pace.clock.elapsed() - self._saved >= self.seconds
        if late or self._interrupt.asked:
            self._save(trainer, LAST)
        self._interrupt.obey()

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save what was measured."""
        if self.pace.improved or not (self.folder / BEST).exists():
            self._save(trainer, BEST)
        self._save(trainer, LAST)
        self._interrupt.obey()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Nothing is in mid-step any more."""
        self._interrupt.end()

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        """Nor is it here."""
        self._interrupt.end()

    def _save(self, trainer: L.Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / name)
        self._saved = self.pace.clock.elapsed()

    def on_save_checkpoint(
        self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint says what network it is of, and how many processes trained it."""
        checkpoint.update(start_fields(self.start))
        checkpoint["world"] = trainer.world_size


def same_classes(path: Path, theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """Why a run with classes `theirs` cannot go on with `ours`, or ''."""
    if theirs == ours:
        return ""
    gone = [name for name in theirs if name not in ours]
    new = [name for name in ours if name not in theirs]
    parts = [f"without {', '.join(gone)}" if gone else "", f"with {', '.join(new)}" if new else ""]
    how = " and ".join(part for part in parts if part) or "in another order"
    return f"{path}: was trained on other classes: the data now comes {how}"
