"""What Lightning's callbacks are told after each step, without what none of ours asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class StepCallback(Callback):
    """A callback with one short hook in place of `on_train_batch_end`."""

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """After each step, with what `Training.training_step` returned."""

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Lightning's hook."""
        self.after_step(trainer, outputs)
