"""From network outputs and labelled boxes to one number to descend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from detector.model.boxes import cxcywh_to_xyxy, decode
from detector.training import loss
from detector.training.matching import Targets, match_dynamic, match_iou

Matcher = Literal["iou", "dynamic"]
ClassLoss = Literal["focal", "ohem", "quality"]
BoxLoss = Literal["smooth-l1", "giou"]


@dataclass(frozen=True)
class Truth:
    """What is in one picture: xyxy (G, 4) as fractions of it, labels (G,), ignore (G,) bool."""

    xyxy: Tensor
    labels: Tensor
    ignore: Tensor


@dataclass(frozen=True)
class Objective:
    """Which matcher and losses, and how the box loss weighs against the class loss."""

    matcher: Matcher = "iou"
    """Which anchors answer for a box: by overlap (SSD), or those that do it best so far (TOOD)."""
    positive: float = 0.5
    """Overlap from which the iou matcher makes an anchor answer for a box."""
    negative: float = 0.4
    """Overlap below which an anchor is background; between the two it counts for nothing."""
    class_loss: ClassLoss = "focal"
    """focal; ohem: cross entropy with hard negatives 3:1 (SSD); quality: focal on IoU targets."""
    box_loss: BoxLoss = "smooth-l1"
    """smooth-l1 on the offsets (SSD), or giou on the boxes."""
    box_weight: float = 1.0
    """Factor of the box loss."""

    def __call__(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, truths: list[Truth]
    ) -> dict[str, Tensor]:
        """Losses of a batch: {"class", "box"}, each a sum over the batch per matched anchor.

        logits (N, A, K), offsets (N, A, 4), anchors (A, 4) cxcywh fractions.
        """
        anchors_xyxy = cxcywh_to_xyxy(anchors)
        class_sum, box_sum, weight_sum = logits.new_zeros(()), logits.new_zeros(()), 0.0
        for scores, moves, truth in zip(logits, offsets, truths, strict=True):
            targets = self._match(scores, moves, anchors, anchors_xyxy, truth)
            mine = torch.nonzero(targets.index >= 0).flatten()
            rows = targets.index[mine]
            class_sum = class_sum + self._class_loss(scores, targets, truth.labels, mine, rows)
            weights = targets.quality[mine] if self.matcher == "dynamic" else torch.ones(len(mine))
            if len(mine):
                each = self._box_loss(moves[mine], anchors[mine], truth.xyxy[rows])
                box_sum = box_sum + (each * weights).sum()
            weight_sum += float(weights.sum())
        count = max(weight_sum, 1.0)
        return {"class": class_sum / count, "box": self.box_weight * box_sum / count}

    def _match(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, anchors_xyxy: Tensor, truth: Truth
    ) -> Targets:
        if self.matcher == "iou":
            return match_iou(
                anchors_xyxy, truth.xyxy, truth.ignore, positive=self.positive, negative=self.negative
            )
        with torch.no_grad():
            scores, boxes = torch.sigmoid(logits), decode(offsets[None], anchors)[0]
        return match_dynamic(anchors_xyxy, truth.xyxy, truth.labels, truth.ignore, scores, boxes)

    def _class_loss(
        self, logits: Tensor, targets: Targets, labels: Tensor, mine: Tensor, rows: Tensor
    ) -> Tensor:
        wanted = torch.zeros_like(logits)
        soft = self.class_loss == "quality"
        wanted[mine, labels[rows]] = targets.quality[mine] if soft else 1.0
        decided = targets.index != -2
        logits, wanted = logits[decided], wanted[decided]
        if self.class_loss == "ohem":
            return loss.hard_negative(logits, wanted)
        return loss.quality_focal(logits, wanted) if soft else loss.focal(logits, wanted)

    def _box_loss(self, offsets: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        return (loss.giou if self.box_loss == "giou" else loss.smooth_l1)(offsets, anchors, boxes)
