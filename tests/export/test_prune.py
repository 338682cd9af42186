"""Fewer classes: the same scores and boxes for those that stay, and less to compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detector.errors import DetectorError
from detector.export.prune import keep_classes, multiply_adds
from detector.model.checkpoint import ModelCard, build
from detector.model.ssdlite import HEADS

NAMES = ("person", "bicycle", "car", "quả xoài")


@pytest.mark.parametrize("head", HEADS)
def test_those_that_stay_are_scored_as_before(head: str) -> None:
    torch.manual_seed(0)
    card = ModelCard(NAMES, 0.25, head=head)
    model = build(card).eval()
    for part in model.class_heads:
        nn.init.normal_(part.predict.weight, std=0.1)
        nn.init.normal_(part.predict.bias)
    small, its_card = keep_classes(model, card, ["quả xoài", "bicycle"])
    assert its_card.class_names == ("bicycle", "quả xoài")  # the network's order
    picture = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        (logits, offsets), (fewer, same) = model(picture), small(picture)
    assert fewer.shape[2] == 2
    assert torch.allclose(fewer, logits[..., [1, 3]], atol=1e-5)
    assert torch.equal(same, offsets)
    assert logits.shape[2] == model.num_classes == 4  # nothing happened to the network itself


def test_the_multiply_adds_saved_are_those_of_the_rows_that_went() -> None:
    card = ModelCard(NAMES, 0.25)
    model = build(card)
    small, _ = keep_classes(model, card, ["car"])
    rows = 0
    cells = [12 * 12, 6 * 6, 3 * 3, 2 * 2, 1, 1]  # at 192 px
    for part, count in zip(model.class_heads, cells, strict=True):
        rows += part.predict.in_channels * part.predict.out_channels * 3 // 4 * count
    assert multiply_adds(model, 192) - multiply_adds(small, 192) == rows


def test_a_class_it_does_not_know() -> None:
    card = ModelCard(NAMES, 0.25)
    with pytest.raises(DetectorError, match="does not know 'persn'; did you mean 'person'"):
        keep_classes(build(card), card, ["car", "persn"])
