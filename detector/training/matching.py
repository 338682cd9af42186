"""Which anchor answers for which box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detector.model.boxes import area, iou_matrix

BACKGROUND, UNDECIDED = -1, -2
INSIDE = 0.5  # share of an anchor in an ignored box from which nothing is said about it
TIE = 1e-6


@dataclass(frozen=True)
class Targets:
    """What one picture asks of each anchor.

    index: (A,) int64, the box it answers for, or BACKGROUND, or UNDECIDED (counts for nothing).
    quality: (A,) float32 in 0..1, the class score it should give for that box; 0 without one.
    """

    index: Tensor
    quality: Tensor


def match_iou(
    anchors_xyxy: Tensor,
    boxes: Tensor,
    ignore: Tensor,
    *,
    positive: float = 0.5,
    negative: float = 0.4,
) -> Targets:
    """SSD's matching: an anchor takes the box it overlaps by `positive` or more (section 2.2).

    anchors_xyxy: (A, 4); boxes: (G, 4), same unit; ignore: (G,) bool, boxes that are neither wanted
    nor wrong. Every wanted box also gets its best anchor, however small their overlap; an anchor
    between `negative` and `positive`, or mostly inside an ignored box, is undecided.
    """
    count = len(anchors_xyxy)
    index = torch.full((count,), BACKGROUND, dtype=torch.int64)
    wanted = torch.nonzero(~ignore & (area(boxes) > 0)).flatten()
    if ignore.any():
        index[_inside(anchors_xyxy, boxes[ignore]) > INSIDE] = UNDECIDED
    if len(wanted):
        iou = iou_matrix(anchors_xyxy, boxes[wanted])  # (A, W)
        best, which = iou.max(dim=1)
        index[best >= negative] = UNDECIDED
        index = torch.where(best >= positive, wanted[which], index)
        _give_best_anchor(index, iou, wanted)
    return Targets(index, (index >= 0).float())


def with_iou_quality(targets: Targets, predicted_xyxy: Tensor, boxes: Tensor) -> Targets:
    """The same targets, each matched anchor's quality the IoU of its predicted box with its box.

    predicted_xyxy: (A, 4) without gradient; boxes: (G, 4).
    """
    rows = torch.nonzero(targets.index >= 0).flatten()
    quality = torch.zeros_like(targets.quality)
    quality[rows] = _iou_pairs(predicted_xyxy[rows], boxes[targets.index[rows]])
    return Targets(targets.index, quality)


def _iou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """IoU of pairs: (P, 4), (P, 4) -> (P,)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = area(torch.cat([low, high], dim=1))
    return inter / (area(a) + area(b) - inter).clamp(min=1e-12)


def _give_best_anchor(index: Tensor, iou: Tensor, wanted: Tensor) -> None:
    """Give each box its best anchor, in place; of two that want the same, the closer has it.

    As if the closest pair of all were taken out first, then the next; boxes ask and anchors turn
    down instead (Gale and Shapley 1962), all at once, since hundreds of boxes are common.
    """
    left = iou.T.contiguous()  # (W, A), what a box may still ask for
    choice = torch.full((len(wanted),), -1)
    asking = torch.arange(len(wanted))
    while len(asking):
        best, choice[asking] = left[asking].max(dim=1)
        choice[asking[best <= 0]] = -1
        asked = torch.nonzero(choice >= 0).flatten()
        closeness = iou[choice[asked], asked]
        rank = torch.empty_like(asked)
        rank[closeness.argsort(descending=True, stable=True)] = torch.arange(len(asked))
        first = torch.full((len(iou),), len(asked)).scatter_reduce(
            0, choice[asked], rank, "amin", include_self=True
        )
        asking = asked[rank > first[choice[asked]]]
        left[asking, choice[asking]] = -1.0
    given = torch.nonzero(choice >= 0).flatten()
    index[choice[given]] = wanted[given]


def _inside(anchors_xyxy: Tensor, regions: Tensor) -> Tensor:
    """How much of each anchor lies in the region it lies in most: (A,) in 0..1."""
    low = torch.maximum(anchors_xyxy[:, None, :2], regions[None, :, :2])
    high = torch.minimum(anchors_xyxy[:, None, 2:], regions[None, :, 2:])
    inter = area(torch.cat([low, high], dim=-1))
    return (inter / area(anchors_xyxy)[:, None].clamp(min=1e-12)).amax(dim=1)


def match_dynamic(
    anchors_xyxy: Tensor,
    boxes: Tensor,
    labels: Tensor,
    ignore: Tensor,
    scores: Tensor,
    predicted_xyxy: Tensor,
    *,
    top: int = 13,
    alpha: float = 1.0,
    beta: float = 6.0,
) -> Targets:
    """Task-aligned assignment (Feng et al. 2021, "TOOD", section 3.2): the anchors that do it best.

    scores: (A, K) in 0..1 and predicted_xyxy: (A, 4), the network's present answers, without
    gradient. An anchor is a candidate for a box when its centre lies inside it; the `top` by
    score ** alpha * IoU ** beta are taken. `quality` is that measure scaled, box by box, so that
    its largest equals the largest IoU. A box without a candidate gets its best-overlapping anchor.
    """
    count = len(anchors_xyxy)
    index = torch.full((count,), BACKGROUND, dtype=torch.int64)
    quality = torch.zeros(count)
    wanted = torch.nonzero(~ignore & (area(boxes) > 0)).flatten()
    if ignore.any():
        index[_inside(anchors_xyxy, boxes[ignore]) > INSIDE] = UNDECIDED
    if not len(wanted):
        return Targets(index, quality)
    iou = iou_matrix(predicted_xyxy, boxes[wanted])  # (A, W)
    aligned = scores[:, labels[wanted]] ** alpha * iou**beta
    overlap = iou_matrix(anchors_xyxy, boxes[wanted])
    chosen = _best_candidates(aligned, overlap, _candidates(anchors_xyxy, boxes[wanted]), top)
    # An anchor chosen by several boxes answers for the one it overlaps most.
    value, which = torch.where(chosen, iou + TIE * overlap + 1e-9, 0.0).max(dim=1)
    rows = torch.nonzero(value > 0).flatten()
    index[rows] = wanted[which[rows]]
    scale = (iou * chosen).amax(dim=0) / (aligned * chosen).amax(dim=0).clamp(min=1e-9)
    quality[rows] = (aligned * scale)[rows, which[rows]].clamp(0, 1)
    return Targets(index, quality)


def _candidates(anchors_xyxy: Tensor, boxes: Tensor) -> Tensor:
    """Which anchors have their centre inside which box: (A, W) bool."""
    centres = (anchors_xyxy[:, None, :2] + anchors_xyxy[:, None, 2:]) / 2
    inside = (centres > boxes[None, :, :2]) & (centres < boxes[None, :, 2:])
    return inside.all(dim=-1)


def _best_candidates(aligned: Tensor, overlap: Tensor, candidate: Tensor, top: int) -> Tensor:
    """The `top` candidates of each box by `aligned`: (A, W) bool; all arguments are (A, W).

    A box without candidates has the anchor that overlaps it most.
    """
    lost = ~candidate.any(dim=0)
    candidate = candidate.clone()
    candidate[overlap[:, lost].argmax(dim=0), torch.nonzero(lost).flatten()] = True
    # Before the network knows anything all measures are tiny: the anchor's own overlap breaks ties.
    rank = torch.where(candidate, aligned + TIE * overlap + 1e-12, 0.0)
    chosen = torch.zeros_like(candidate)
    chosen.scatter_(0, rank.topk(min(top, len(rank)), dim=0).indices, True)
    return chosen & candidate
