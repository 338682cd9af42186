"""Which known class a new one looks like, so that learning it need not start from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from detector.data.augment import plain_view
from detector.data.loading import Pictures, collate, to_item
from detector.data.split import thinned
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import cxcywh_to_xyxy
from detector.model.checkpoint import images_to_input
from detector.model.ssdlite import SSDLite
from detector.training.matching import match_iou

MOST, BATCH = 128, 16  # pictures looked at, and how many at a time


@torch.no_grad()
def closest_classes(
    source: SSDLite,
    source_names: Sequence[str],
    names: Sequence[str],
    pictures: Pictures,
    side: int,
) -> dict[str, str]:
    """For each of `names` that `source` does not know, the class it takes their objects for most.

    Scores are summed over the anchors that answer for the training boxes, so "aeroplane" finds
    "airplane", and raccoons cats. A class without boxes, in the pictures looked at, has no entry.
    side: of the input in pixels. `source` is left in eval mode.
    """
    anchors = anchors_cxcywh(source.anchors, (side, side))
    corners = cxcywh_to_xyxy(anchors)
    total = torch.zeros(len(names), len(source_names))
    view, rng = plain_view(side), np.random.default_rng(0)  # which the plain view never asks
    chosen = thinned(range(len(pictures)), MOST)
    source.eval()
    for start in range(0, len(chosen), BATCH):
        items = [to_item(view(pictures.view(i), rng)) for i in chosen[start : start + BATCH]]
        images, truths = collate(items)
        scores = torch.sigmoid(source(images_to_input(images))[0])
        for score, truth in zip(scores, truths, strict=True):
            index = match_iou(corners, truth.xyxy, truth.ignore).index
            mine = torch.nonzero(index >= 0).flatten()
            total.index_add_(0, truth.labels[index[mine]], score[mine])
    return {
        name: source_names[int(row.argmax())]
        for name, row in zip(names, total, strict=True)
        if name not in source_names and row.sum() > 0
    }
