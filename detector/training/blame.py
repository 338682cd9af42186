"""When a loss is beyond sense: which pictures and boxes did it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from detector.data.example import Example
from detector.errors import DetectorError
from detector.model.checkpoint import images_to_input

if TYPE_CHECKING:
    from detector.training.module import Training

LARGEST = 1e4  # a healthy loss per matched anchor is below 50 even at the first step
NAMED, BOXES = 3, 4  # pictures, and boxes of each, that a message names


def too_large(loss: Tensor) -> bool:
    """Whether a loss is no number, infinite, or has exploded."""
    return not bool(loss < LARGEST)  # nan compares false


@torch.no_grad()
def refuse(training: Training, what: str, value: float) -> NoReturn:
    """Raise DetectorError for the batch just seen, its worst pictures first."""
    assert training.seen is not None
    images, truths, numbers = training.seen
    step = training.global_step
    broken = [name for name, p in training.model.named_parameters() if not p.isfinite().all()]
    if broken:
        raise DetectorError(
            f"step {step}: the {what} is {value:g} since the weights are no numbers any more "
            f"({broken[0]}); lower --lr and --head-lr, or start from other --weights"
        )
    logits, offsets = training.model(images_to_input(images))
    worst: list[tuple[float, int]] = []
    for i, number in enumerate(numbers):
        each = training.objective(
            logits[i : i + 1].float(), offsets[i : i + 1].float(), training.anchors, [truths[i]]
        )
        worst.append((float(each["class"] + each["box"]), number))
    worst.sort(key=lambda pair: pair[0] if math.isfinite(pair[0]) else math.inf, reverse=True)
    named = "; ".join(f"{training.explain(n)}: loss {loss:g}" for loss, n in worst[:NAMED])
    raise DetectorError(
        f"step {step}: the {what} is {value:g}; the worst of its {len(numbers)} pictures: {named}; "
        "mend their boxes (`detector check`), or lower --lr and --head-lr"
    )


def describe(example: Example, class_names: tuple[str, ...]) -> str:
    """A picture and its boxes in a few words: "a.jpg (cat 1 2 30 40, dog 5 5 9 9)"."""
    boxes = [
        f"{class_names[label]} {' '.join(f'{v:g}' for v in box)}"
        for box, label in zip(example.xyxy.tolist(), example.labels.tolist(), strict=True)
    ]
    more = [f"{len(boxes) - BOXES} more"] if len(boxes) > BOXES else []
    return f"{example.path} ({', '.join([*boxes[:BOXES], *more]) or 'no boxes'})"
