"""Start a network from another's weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detector.model.ssdlite import Predictor, SSDLite

PRIOR = 0.01  # the score a new class gives everything at first (Lin et al. 2017, section 4.1)


@torch.no_grad()
def copy_weights(
    model: SSDLite, names: Sequence[str], source: SSDLite, source_names: Sequence[str]
) -> list[nn.Module]:
    """Copy `source` into `model` where they agree; returns the modules that stay random.

    Class predictors differ in their rows, one a class and anchor: a class that both know keeps its
    rows, a new one starts from the mean of all, which has learned what an object is but not which,
    with a bias of its own.
    """
    theirs = source.state_dict()
    fresh: list[nn.Module] = []
    for name, tensor in model.state_dict().items():
        if name in theirs and theirs[name].shape == tensor.shape and ".predict." not in name:
            tensor.copy_(theirs[name])
    for mine, other in zip(model.box_heads, source.box_heads, strict=True):
        mine.load_state_dict(other.state_dict())
    for mine, other in zip(model.class_heads, source.class_heads, strict=True):
        assert isinstance(mine, Predictor)
        assert isinstance(other, Predictor)
        _copy_rows(mine, names, other, source_names)
        fresh.append(mine.predict)
    return fresh


def _copy_rows(
    mine: Predictor, names: Sequence[str], other: Predictor, other_names: Sequence[str]
) -> None:
    def rows(head: Predictor, classes: int) -> tuple[Tensor, Tensor]:
        assert head.predict.bias is not None
        channels = head.predict.in_channels
        weight = head.predict.weight.view(-1, classes, channels)
        return weight, head.predict.bias.view(-1, classes)

    weight, bias = rows(mine, len(names))
    from_weight, from_bias = rows(other, len(other_names))
    weight.copy_(from_weight.mean(dim=1, keepdim=True).expand_as(weight))
    bias.fill_(-math.log((1 - PRIOR) / PRIOR))
    for label, name in enumerate(names):
        if name in other_names:
            weight[:, label] = from_weight[:, other_names.index(name)]
            bias[:, label] = from_bias[:, other_names.index(name)]
