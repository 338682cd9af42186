"""The LightningModule: what one step of training and one measurement are."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from detector.detections import Detections, select
from detector.errors import DetectorError
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import images_to_input
from detector.model.ssdlite import SSDLite
from detector.training.objective import Objective, Truth
from detector.training.recipe import Clock, Recipe, lr_factor, optimiser, param_groups

Batch = tuple[Tensor, list[Truth]]
CANDIDATE_SCORE, NMS_IOU, TOP_K = 0.01, 0.6, 100


class Training(L.LightningModule):
    """Moves `model` towards `objective` by `recipe`, for as long as `clock` says.

    fresh: modules with random weights, which get the head's learning rate. frozen_bn: keep batch
    norms' statistics as they are.
    """

    def __init__(
        self,
        model: SSDLite,
        class_names: tuple[str, ...],
        objective: Objective,
        recipe: Recipe,
        clock: Clock,
        fresh: list[nn.Module],
        side: int,
        frozen_bn: bool,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.class_names, self.objective, self.recipe = class_names, objective, recipe
        self.clock, self.fresh, self.frozen_bn = clock, fresh, frozen_bn
        anchors = anchors_cxcywh(model.anchors, (side, side))
        self.register_buffer("anchors", anchors, persistent=False)
        self.found: list[Detections] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one batch: images (N, 3, S, S) uint8 RGB and N truths."""
        images, truths = batch
        logits, offsets = self.model(images_to_input(images))
        losses = self.objective(logits, offsets, self.anchors, truths)
        total = losses["class"] + losses["box"]
        if not torch.isfinite(total):
            raise DetectorError(f"step {self.global_step}: the loss is {float(total)}; lower --lr")
        size = len(truths)
        for name, value in losses.items():
            self.log(f"loss/{name}", value.detach(), prog_bar=True, batch_size=size)
        return total

    def on_train_start(self) -> None:
        """Time counts from the first step on."""
        self.clock.start()

    def on_train_batch_start(self, batch: Batch, index: int) -> int | None:
        """Ends the run when its time is over."""
        return -1 if self.clock.progress(self.global_step) >= 1 else None

    def train(self, mode: bool = True) -> Training:
        """Training mode, in which frozen batch norms stay in eval mode."""
        super().train(mode)
        if mode and self.frozen_bn:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def on_validation_epoch_start(self) -> None:
        """Forget the detections of the last measurement."""
        self.found = []

    def validation_step(self, batch: Batch, index: int) -> None:
        """Detections of each picture, boxes as fractions of it."""
        images, _ = batch
        logits, offsets = self.model(images_to_input(images))
        boxes, scores = decode(offsets, self.anchors).numpy(), torch.sigmoid(logits).numpy()
        for b, s in zip(boxes, scores, strict=True):
            self.found.append(
                select(b, s, (1, 1), self.class_names, CANDIDATE_SCORE, NMS_IOU, TOP_K)
            )

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, its learning rates set anew at every step."""
        made = optimiser(param_groups(self.model, self.recipe, self.fresh), self.recipe.optimiser)
        schedule = LambdaLR(
            made, lambda step: lr_factor(self.clock.progress(step), self.recipe.warmup)
        )
        return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent."""
        checkpoint["seconds_spent"] = self.clock.elapsed()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the time spent."""
        self.clock.spent = float(np.asarray(checkpoint["seconds_spent"]))
