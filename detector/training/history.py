"""log.csv: every step's losses and every measurement, as a table that survives a kill."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import lightning as L
from torch import Tensor

from detector.errors import DetectorError
from detector.outfile import cannot_write, write_whole
from detector.training.callbacks import AP, Pace
from detector.training.hooks import StepCallback

COLUMNS = ("step", "seconds", "lr", "class", "box", "AP", "AP50")
LOG = "log.csv"


class History(StepCallback):
    """Appends to `folder`/log.csv, after dropping what an earlier, killed run wrote too far."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self.path, self.pace = folder / LOG, pace
        self._file: TextIO | None = None
        self._lr = math.nan

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Open the table."""
        rows = [row for row in read_rows(self.path) if int(row["step"]) <= trainer.global_step]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
        write_whole(self.path, ("\n".join(lines) + "\n").encode(), "train: log")
        self._file = self.path.open("a", encoding="utf-8")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The rate of the step that follows; after it, the schedule has set the next one's."""
        self._lr = trainer.optimizers[0].param_groups[-1]["lr"]

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """One row a step."""
        values = [f"{float(losses[name]):.9g}" for name in ("class", "box")]
        self._row([str(trainer.global_step), self._seconds(), f"{self._lr:.6g}", *values, "", ""])

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """One row a measurement."""
        figures = [f"{float(trainer.callback_metrics[name]):.4f}" for name in (AP, f"{AP}50")]
        self._row([str(trainer.global_step), self._seconds(), "", "", "", *figures])

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Close the table."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _seconds(self) -> str:
        return f"{self.pace.clock.elapsed():.1f}"

    def _row(self, values: list[str]) -> None:
        assert self._file is not None
        try:
            self._file.write(",".join(values) + "\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, "train: log", error) from error


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a log.csv; none where there is no file. A row cut off is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if all(row.get(name) is not None for name in COLUMNS)]


@dataclass(frozen=True)
class Curves:
    """A run over its steps: losses (step, class, box) and measurements (step, AP, AP50)."""

    losses: list[tuple[int, float, float]]
    measured: list[tuple[int, float, float]]


def read_curves(folder: Path) -> Curves:
    """What log.csv of a run holds. Raises DetectorError when a value is no number."""
    losses, measured = [], []
    try:
        for row in read_rows(folder / LOG):
            if row["AP"]:
                measured.append((int(row["step"]), float(row["AP"]), float(row["AP50"])))
            else:
                losses.append((int(row["step"]), float(row["class"]), float(row["box"])))
    except ValueError as error:
        raise DetectorError(f"{folder / LOG}: damaged ({error}); it is written anew") from error
    return Curves(losses, [m for m in measured if not math.isnan(m[1])])
