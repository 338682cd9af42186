"""A network of some of its classes: the rows of the class head that score them, and no others."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from detector.errors import DetectorError
from detector.model.checkpoint import ModelCard
from detector.model.cost import layer_costs, totals
from detector.model.ssdlite import SSDLite


def keep_classes(
    model: SSDLite, card: ModelCard, names: Sequence[str]
) -> tuple[SSDLite, ModelCard]:
    """A copy that knows only `names`, in the order of `card`, and its card.

    Classes are independent sigmoids, so those that stay score as before, in the same boxes.
    Raises DetectorError for a name that `card` lacks.
    """
    kept = sorted({_label(name, card.class_names) for name in names})
    model = copy.deepcopy(model)
    for head in model.class_heads:
        _keep_rows(head, kept, len(card.class_names))
    model.num_classes = len(kept)
    return model, replace(card, class_names=tuple(card.class_names[label] for label in kept))


def multiply_adds(model: SSDLite, size: int) -> int:
    """Of one picture at `size` pixels a side."""
    return totals(layer_costs(model, (size, size)))[1]


def _label(name: str, known: Sequence[str]) -> int:
    if name in known:
        return known.index(name)
    near = difflib.get_close_matches(name.lower(), known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known[:8])}"
    raise DetectorError(f"--classes: the network does not know {name!r}; {hint}")


def _keep_rows(head: nn.Module, kept: Sequence[int], classes: int) -> None:
    """Cut a class predictor down to the labels `kept`, in place. Its rows: anchor, then class."""
    predict = head.get_submodule("predict")
    assert isinstance(predict, nn.Conv2d)
    assert predict.bias is not None
    with torch.no_grad():
        weight = predict.weight.reshape(-1, classes, *predict.weight.shape[1:])[:, kept].flatten(
            0, 1
        )
        bias = predict.bias.reshape(-1, classes)[:, kept].flatten()
    predict.weight, predict.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)
    predict.out_channels = len(bias)
    head.values = len(kept)  # type: ignore[assignment]
