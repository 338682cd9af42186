"""Quantisation-aware training: an int8 graph learns, rounding in the loop, to do as its float one.

The float network is the teacher (distillation: Hinton et al. 2015), so nothing but rounding is
trained away: labels would go on teaching, and a small data set would be learned by heart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from detector.data.augment import flipped_view, training_views
from detector.data.example import Example
from detector.data.loading import Pictures, Stream, collate
from detector.errors import OutOfMemoryError, no_memory
from detector.export.frames import BUDGET
from detector.export.graph_network import GraphNetwork
from detector.export.int8_options import BATCH, Int8Options
from detector.training.recipe import lr_factor

# LR is in parts of a channel's largest weight, of which int8 makes 127 steps. Of 1e-4, 3e-4, 1e-3
# and 4e-3 the first came closest to float, with MobileNetV1 0.25 on held-back pictures.
LR, WARMUP, CALM, CLIP = 1e-4, 0.1, 0.1, 10.0
FULL_SIDE = 300  # px: MobileNetV2 takes 4 GB then; larger pictures come in smaller batches
EVERY = 10  # steps between two lines of news
Say = Callable[[str], None]


class Tuned(NamedTuple):
    """An int8 graph that has learned, and its float weights before rounding in a float graph."""

    int8: onnx.ModelProto
    floats: onnx.ModelProto


def fine_tune(
    int8: onnx.ModelProto,
    floats: onnx.ModelProto,
    examples: Sequence[Example],
    side: int,
    options: Int8Options,
    say: Say,
) -> Tuned | None:
    """The int8 graph after random views of the pictures; None, and why is said, on failure.

    Both graphs are left as they are. options.batch: views at once, fewer where they are large.
    floats: what int8 was made from. Labels are looked at by the random crops alone. Raises
    DetectorError when no picture can be read.
    """
    batch = max(1, min(options.batch, round(BATCH * (FULL_SIDE / side) ** 2)))
    steps = math.ceil(options.views / batch)
    calm_from = round((1 - CALM) * steps) * batch
    flips = options.flips
    augment = training_views(side, flips=flips), flipped_view(side, flips)
    try:
        feed = Stream(Pictures(examples, side, BUDGET), *augment, seed=0, calm_from=calm_from)
        student = GraphNetwork(int8, floats)
        if _learn(student, GraphNetwork(floats, floats), feed, batch, steps, say):
            return _written(student, int8, floats)
    except OutOfMemoryError:  # a single picture, which nothing after this could read either
        raise
    except (MemoryError, RuntimeError) as error:
        if not no_memory(error):
            raise
        say("out of memory in fine-tuning, which is left out")
        return None
    say("fine-tuning went astray and is left out")
    return None


def _learn(
    student: GraphNetwork, teacher: GraphNetwork, feed: Stream, batch: int, steps: int, say: Say
) -> bool:
    """Draw the student towards the teacher; whether the loss kept its sense."""
    moved = torch.optim.AdamW(student.parameters(), lr=LR, weight_decay=0.0)
    for step in range(steps):
        for group in moved.param_groups:
            group["lr"] = LR * lr_factor(step / steps, WARMUP)
        images, _ = collate([feed[step * batch + i] for i in range(batch)])
        frames = images.flip(1).permute(0, 2, 3, 1)  # RGB planes -> BGR pixels
        with torch.no_grad():
            wanted = teacher(frames)
        loss = apart(student(frames), wanted)
        moved.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        if not torch.isfinite(norm):
            return False
        moved.step()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            say(f"fine-tuning: step {step + 1} of {steps}, {loss.item():.4f} from float")
    return True


def apart(given: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
    """How far logits (N, A, K) and offsets (N, A, 4) are from the teacher's; 0 for the same.

    The divergence of the scores (Kullback-Leibler, each class for itself) over all anchors, plus
    the smooth L1 of the offsets weighted by the anchor's best score, per object that the teacher
    sees (its best scores' sum).
    """
    scores = wanted[0].sigmoid()
    least = F.binary_cross_entropy_with_logits(wanted[0], scores, reduction="sum")
    classes = F.binary_cross_entropy_with_logits(given[0], scores, reduction="sum") - least
    best = scores.amax(dim=2)
    boxes = F.smooth_l1_loss(given[1], wanted[1], reduction="none").sum(dim=2)
    total: Tensor = (classes + (boxes * best).sum()) / best.sum().clamp(min=1.0)
    return total


def _written(student: GraphNetwork, int8: onnx.ModelProto, floats: onnx.ModelProto) -> Tuned:
    tuned = Tuned(onnx.ModelProto(), onnx.ModelProto())
    tuned.int8.CopyFrom(int8)
    tuned.floats.CopyFrom(floats)
    student.write_into(*tuned)
    return tuned
