"""From network outputs and labelled boxes to one number to descend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from detector.model.boxes import cxcywh_to_xyxy, decode
from detector.training import loss
from detector.training.matching import (
    UNDECIDED,
    Targets,
    match_dynamic,
    match_iou,
    with_iou_quality,
)
from detector.training.options import LossOptions


class Truth(NamedTuple):
    """What is in one picture: xyxy (G, 4) as fractions of it, labels (G,), ignore (G,) bool.

    A tuple, since Lightning moves no frozen dataclass between devices.
    """

    xyxy: Tensor
    labels: Tensor
    ignore: Tensor


class Sums(NamedTuple):
    """Losses summed over a batch, and `weight`, the number of matched anchors to divide by."""

    class_sum: Tensor
    box_sum: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Objective(LossOptions):
    """The options' matcher and losses at work."""

    def __call__(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, truths: list[Truth]
    ) -> dict[str, Tensor]:
        """Losses of a batch: {"class", "box"}, each a sum over the batch per matched anchor.

        logits (N, A, K), offsets (N, A, 4), anchors (A, 4) cxcywh fractions.
        """
        sums = self.sums(logits, offsets, anchors, truths)
        count = sums.weight.clamp(min=1.0)
        return {"class": sums.class_sum / count, "box": self.box_weight * sums.box_sum / count}

    def sums(self, logits: Tensor, offsets: Tensor, anchors: Tensor, truths: list[Truth]) -> Sums:
        """The same before the division, which devices that train together must do together."""
        anchors_xyxy = cxcywh_to_xyxy(anchors)
        total = Sums(logits.new_zeros(()), logits.new_zeros(()), logits.new_zeros(()))
        for scores, moves, truth in zip(logits, offsets, truths, strict=True):
            targets = self._match(scores, moves, anchors, anchors_xyxy, truth)
            mine = torch.nonzero(targets.index >= 0).flatten()
            rows = targets.index[mine]
            weights = targets.quality[mine] if self.matcher == "dynamic" else torch.ones(len(mine))
            box = self._box_loss(moves[mine], anchors[mine], truth.xyxy[rows])
            total = Sums(
                total.class_sum + self._class_loss(scores, targets, truth.labels, mine, rows),
                total.box_sum + (box * weights).sum(),
                total.weight + weights.sum(),
            )
        return total

    def _match(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, anchors_xyxy: Tensor, truth: Truth
    ) -> Targets:
        with torch.no_grad():
            scores, boxes = torch.sigmoid(logits), decode(offsets[None], anchors)[0]
        if self.matcher == "iou":
            found = match_iou(
                anchors_xyxy,
                truth.xyxy,
                truth.ignore,
                positive=self.positive,
                negative=self.negative,
            )
            return with_iou_quality(found, boxes, truth.xyxy)
        return match_dynamic(anchors_xyxy, truth.xyxy, truth.labels, truth.ignore, scores, boxes)

    def _class_loss(
        self, logits: Tensor, targets: Targets, labels: Tensor, mine: Tensor, rows: Tensor
    ) -> Tensor:
        wanted = torch.zeros_like(logits)
        soft = self.class_loss == "quality"
        wanted[mine, labels[rows]] = targets.quality[mine] if soft else 1.0
        decided = targets.index != UNDECIDED
        logits, wanted = logits[decided], wanted[decided]
        if self.class_loss == "ohem":
            return loss.hard_negative(logits, wanted)
        return loss.quality_focal(logits, wanted) if soft else loss.focal(logits, wanted)

    def _box_loss(self, offsets: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        return (loss.giou if self.box_loss == "giou" else loss.smooth_l1)(offsets, anchors, boxes)
