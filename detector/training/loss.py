"""What the network is told: a class loss over all anchors, a box loss over the matched ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from detector.model.boxes import decode, encode, giou_pairs


def focal(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017, equation 5): (R, K) logits and 0/1 targets -> sum.

    Easy examples fade as (1 - p_t) ** gamma; `alpha` weighs positives, 1 - alpha negatives.
    """
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * (1 - p_t) ** gamma * ce).sum()


def quality_focal(logits: Tensor, targets: Tensor, *, beta: float = 2.0) -> Tensor:
    """Quality focal loss (Li et al. 2020, equation 2): targets are qualities in 0..1 -> sum."""
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return ((targets - torch.sigmoid(logits)).abs() ** beta * ce).sum()


def hard_negative(logits: Tensor, targets: Tensor, ratio: int = 3) -> Tensor:
    """Cross entropy over positives and `ratio` times as many of the worst negatives -> sum.

    logits, targets: (R, K), the anchors of one picture (SSD, section 2.2, "hard negative mining").
    """
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)
    positive = targets.amax(dim=1) > 0
    wanted = min(max(1, ratio * int(positive.sum())), int((~positive).sum()))
    return ce[positive].sum() + ce[~positive].topk(wanted).values.sum()


def smooth_l1(
    offsets: Tensor, anchors_cxcywh: Tensor, boxes: Tensor, *, beta: float = 1.0
) -> Tensor:
    """Huber loss on the offsets: (P, 4) each, boxes xyxy in the anchors' unit -> (P,)."""
    wanted = encode(boxes, anchors_cxcywh)
    return F.smooth_l1_loss(offsets, wanted, reduction="none", beta=beta).sum(dim=1)


def giou(offsets: Tensor, anchors_cxcywh: Tensor, boxes: Tensor) -> Tensor:
    """1 - generalised IoU of the decoded boxes: (P, 4) each -> (P,)."""
    return 1 - giou_pairs(decode(offsets, anchors_cxcywh), boxes)
