"""The LightningModule: what one step of training and one measurement are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from detector.detections import Detections, select
from detector.evaluation.torch_detector import measured_with
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import ModelCard, images_to_input
from detector.model.ssdlite import SSDLite
from detector.training.blame import refuse, too_large
from detector.training.distributed import ALONE, Peers
from detector.training.feed import Batch
from detector.training.objective import Objective, Truth
from detector.training.recipe import Clock, Recipe, lr_factor, optimiser, param_groups

Judgement = Callable[[Sequence[Detections]], dict[str, float]]


class Training(L.LightningModule):
    """Moves `model` towards `objective` by `recipe`, at the pace of `clock`.

    card: of the model. fresh: modules with random weights, which get the head's learning
    rate. side: of the input in pixels. held: batch norms that keep their statistics.
    judge: figures for the validation pictures' detections. explain: what a sample number shows, for
    the message when the loss breaks. peers: the processes that each step is shared with.
    """

    anchors: Tensor  # (A, 4) cxcywh

    def __init__(
        self,
        model: SSDLite,
        card: ModelCard,
        objective: Objective,
        recipe: Recipe,
        clock: Clock,
        *,
        fresh: list[nn.Module],
        side: int,
        held: Sequence[nn.BatchNorm2d],
        judge: Judgement,
        explain: Callable[[int], str],
        peers: Peers = ALONE,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.class_names, self.limits = card.class_names, measured_with(card)
        self.objective, self.recipe, self.clock = objective, recipe, clock
        self.fresh, self.held = fresh, held
        self.judge, self.explain, self.peers = judge, explain, peers
        self.register_buffer("anchors", anchors_cxcywh(model.anchors, (side, side)), False)
        self.found: list[Detections] = []
        self.seen: Batch | None = None
        self.train()  # Lightning leaves modes as they are

    def losses(self, images: Tensor, truths: list[Truth]) -> dict[str, Tensor]:
        """{"class", "box"} of a batch, per anchor matched: images uint8 RGB.

        With peers, their mean is that of one batch of all pictures, and so is its gradient.
        """
        logits, offsets = self.model(images_to_input(images))
        sums = self.objective.sums(logits.float(), offsets.float(), self.anchors, truths)
        count = self.peers.sum(sums.weight).clamp(min=1.0) / self.peers.world
        weight = self.objective.box_weight
        return {"class": sums.class_sum / count, "box": weight * sums.box_sum / count}

    def training_step(self, batch: Batch, index: int) -> dict[str, Tensor]:
        """The losses of one batch; DetectorError, naming pictures, where they are beyond sense."""
        self.seen = batch
        losses = self.losses(*batch[:2])
        total = losses["class"] + losses["box"]
        if too_large(total):
            refuse(self, "loss", total.item())
        shown = self.peers.mean(losses)
        self.log_dict({f"loss/{k}": v for k, v in shown.items()}, batch_size=len(batch[1]))
        return {"loss": total, **shown}

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Scale the gradients together down to the recipe's norm; refuse those without one."""
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        if not torch.isfinite(norm):
            refuse(self, "gradient", norm.item())

    def train(self, mode: bool = True) -> Training:
        """Training mode, in which the held batch norms stay in eval mode."""
        super().train(mode)
        for norm in self.held:
            norm.eval()
        return self

    def validation_step(self, images: Tensor, index: int) -> None:
        """Detections of each picture, boxes as fractions of it."""
        logits, offsets = self.model(images_to_input(images))
        boxes = decode(offsets.float(), self.anchors).numpy()
        scores = torch.sigmoid(logits.float()).numpy()
        for b, s in zip(boxes, scores, strict=True):
            self.found.append(select(b, s, (1, 1), self.class_names, self.limits))

    def on_validation_epoch_end(self) -> None:
        """Figures of all the detections."""
        self.log_dict({f"val/{name}": value for name, value in self.judge(self.found).items()})
        self.found = []

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, its learning rates set anew at every step."""
        made = optimiser(param_groups(self.model, self.recipe, self.fresh), self.recipe.optimiser)
        progress, warmup = self.clock.progress, self.recipe.warmup
        schedule = LambdaLR(made, lambda step: lr_factor(progress(step), warmup))
        return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
