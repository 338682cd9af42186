"""Box arithmetic: all boxes are float32 xyxy, in any one unit."""

from __future__ import annotations

import torch
from torch import Tensor

# Weights of the offsets in SSD's coding: centres count 10-fold, sizes 5-fold (its "variances").
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(..., 4) centre and size -> corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """(..., 4) corners -> centre and size."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...); 0 for a box without width or height."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Overlap (IoU) of every pair: (M, 4), (N, 4) -> (M, N) in 0..1, 0 if both are empty."""
    inter = _overlaps(a, b, 0) * _overlaps(a, b, 1)
    union = area(a)[:, None] + area(b)[None] - inter
    return inter / union.clamp(min=1e-12)


def _overlaps(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Length that every pair has in common along x (0) or y (1): (M, N).

    One axis at a time: arrays of pairs and two coordinates take five times as long.
    """
    low = torch.maximum(a[:, None, axis], b[None, :, axis])
    high = torch.minimum(a[:, None, axis + 2], b[None, :, axis + 2])
    return (high - low).clamp_(min=0)


def giou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of pairs: (N, 4), (N, 4) -> (N,) in -1..1 (Rezatofighi et al. 2019)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = area(torch.cat([low, high], dim=-1))
    union = area(a) + area(b) - inter
    hull = area(
        torch.cat([torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])], dim=-1)
    )
    return inter / union.clamp(min=1e-12) - (hull - union) / hull.clamp(min=1e-12)


def decode(box_offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from the head's offsets: (N, A, 4) and cxcywh (A, 4) -> xyxy (N, A, 4), same unit.

    SSD's coding with variances 0.1 and 0.2 (Liu et al. 2016, equation 2 and the authors' code).
    """
    centre = anchors[..., :2] + box_offsets[..., :2] * CENTRE_VARIANCE * anchors[..., 2:]
    half = 0.5 * anchors[..., 2:] * torch.exp(box_offsets[..., 2:] * SIZE_VARIANCE)
    return torch.cat([centre - half, centre + half], dim=-1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets that `decode` turns into `boxes`: xyxy (..., 4) and cxcywh (..., 4) -> (..., 4).

    Sizes must be positive.
    """
    wanted = xyxy_to_cxcywh(boxes)
    move = (wanted[..., :2] - anchors[..., :2]) / anchors[..., 2:] / CENTRE_VARIANCE
    grow = torch.log(wanted[..., 2:] / anchors[..., 2:]) / SIZE_VARIANCE
    return torch.cat([move, grow], dim=-1)
