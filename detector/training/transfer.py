"""Start a network from another's weights: other classes, another head, or a narrower width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from detector.errors import DetectorError
from detector.model.layers import Backbone
from detector.model.ssdlite import SSDLite
from detector.training.channels import Ends, channel_spaces, importance, strongest

PRIOR = 0.01  # the score a new class gives everything at first (Lin et al. 2017, section 4.1)


@torch.no_grad()
def copy_weights(
    model: SSDLite,
    names: Sequence[str],
    source: SSDLite,
    source_names: Sequence[str],
    kin: Mapping[str, str] | None = None,
) -> list[nn.Module]:
    """Copy `source` into `model`; returns the modules that do not come whole from there.

    Where `model` is narrower, the strongest channels of `source` are kept, the same through the
    whole network, batch norms' statistics too. Class predictors differ in their rows, one a class
    and anchor: a class that both know keeps its rows, a new one starts from those of its `kin` (new
    name to source's name), one without kin from the mean of all, which has learned what an object
    is but not which, with a bias of its own. Where cells have another number of anchors, each new
    one starts from the mean of the old. A head of another kind stays random. Raises DetectorError
    when `source` has another backbone or is narrower than `model`.
    """
    _check_backbones(model.backbone, source.backbone)
    keep = _channels_kept(model, source)
    same_head = set(keep.layers) == set(channel_spaces(model))
    predictors = {f"{kind}.{i}.predict" for kind in ("class_heads", "box_heads") for i in range(6)}
    for name in keep.layers:
        if name not in predictors and (same_head or name.startswith("backbone.")):
            keep.copy(name, model, source)
    if not same_head:
        return [model.extras, model.class_heads, model.box_heads]
    fresh: list[nn.Module] = []
    kin = kin or {}
    theirs = [kin.get(name, name) for name in names]
    for i in range(len(model.class_heads)):
        whole = _copy_boxes(f"box_heads.{i}.predict", model, source, keep)
        fresh += [] if whole else [model.get_submodule(f"box_heads.{i}.predict")]
        name = f"class_heads.{i}.predict"
        whole = _copy_classes(name, model, theirs, source, source_names, keep) and not kin
        fresh += [] if whole else [model.get_submodule(name)]
    return fresh


@torch.no_grad()
def copy_backbone(model: SSDLite, source: Backbone) -> list[nn.Module]:
    """Copy a backbone alone, as `copy_weights` does; returns the random modules behind it."""
    _check_backbones(model.backbone, source)
    keep = _channels_kept(model.backbone, source)
    for name in keep.layers:
        keep.copy(name, model.backbone, source)
    return [model.extras, model.class_heads, model.box_heads]


def _check_backbones(mine: Backbone, other: Backbone) -> None:
    """DetectorError unless the two have the same layers."""
    names, others = ([name for name, _ in b.named_modules()] for b in (mine, other))
    if type(mine) is not type(other) or names != others:
        raise DetectorError(
            f"weights of a {type(other).__name__} do not fit this {type(mine).__name__}: it has "
            "other layers; choose the backbone that the weights are of, or imagenet or none"
        )


class _Kept:
    """Which channels of the source go into the model: per space, their indices."""

    def __init__(self, layers: dict[str, Ends], indices: dict[int, Tensor]) -> None:
        self.layers, self.indices = layers, indices

    def rows(self, name: str) -> Tensor | slice:
        """The channels that the layer `name` writes; all of what no narrower layer reads."""
        return self.indices.get(self.layers[name].writes, slice(None))

    def columns(self, name: str) -> Tensor | slice:
        """The channels that the layer `name` reads."""
        return self.indices.get(self.layers[name].reads, slice(None))

    def copy(self, name: str, model: nn.Module, source: nn.Module) -> None:
        """Copy one layer's parameters and statistics."""
        mine, other = model.get_submodule(name), source.get_submodule(name)
        theirs = other.state_dict()
        for key, tensor in mine.state_dict().items():
            value = theirs[key]
            if value.dim():  # all but the batches' count
                value = value[self.rows(name)]
            if isinstance(other, nn.Conv2d) and other.groups == 1 and key == "weight":
                value = value[:, self.columns(name)]
            tensor.copy_(value)


def _channels_kept(model: nn.Module, source: nn.Module) -> _Kept:
    """The strongest channels of `source`, as many as `model` has, for each space of both."""
    layers = channel_spaces(source)
    scores = importance(source, layers)
    indices: dict[int, Tensor] = {}
    mine = dict(model.named_modules())
    for name, ends in layers.items():
        layer = mine.get(name)
        if name.endswith(".predict") or not isinstance(layer, nn.BatchNorm2d | nn.Conv2d):
            continue
        wanted = len(layer.weight)
        if wanted > len(scores[ends.writes]):
            raise DetectorError(
                f"{name}: the weights have {len(scores[ends.writes])} channels, and this network "
                f"{wanted}; channels can be left out but not made: lower --width, or --weights none"
            )
        indices.setdefault(ends.writes, strongest(scores[ends.writes], wanted))
    return _Kept(layers, indices)


def _rows(name: str, model: SSDLite, values: int) -> tuple[Tensor, Tensor]:
    """A predictor's weight (anchors, values, C, k, k) and bias (anchors, values), as views."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return layer.weight.view(-1, values, *layer.weight.shape[1:]), layer.bias.view(-1, values)


def _anchors_as(values: Tensor, count: int) -> Tensor:
    """(anchors, ...) of the source for `count` anchors: theirs, or the mean of all for each."""
    if len(values) == count:
        return values
    return values.mean(0, keepdim=True).expand(count, *values.shape[1:])


def _copy_boxes(name: str, model: SSDLite, source: SSDLite, keep: _Kept) -> bool:
    """Fill a box predictor; whether it has as many anchors as the source's."""
    weight, bias = _rows(name, model, 4)
    from_weight, from_bias = _rows(name, source, 4)
    weight.copy_(_anchors_as(from_weight[:, :, keep.columns(name)], len(weight)))
    bias.copy_(_anchors_as(from_bias, len(bias)))
    return len(bias) == len(from_bias)


def _copy_classes(
    name: str,
    model: SSDLite,
    names: Sequence[str],
    source: SSDLite,
    source_names: Sequence[str],
    keep: _Kept,
) -> bool:
    """Fill a class predictor; whether every row of it is one of the source's."""
    weight, bias = _rows(name, model, len(names))
    from_weight, from_bias = _rows(name, source, len(source_names))
    same_anchors = len(bias) == len(from_bias)
    from_weight = _anchors_as(from_weight[:, :, keep.columns(name)], len(bias))
    from_bias = _anchors_as(from_bias, len(bias))
    weight.copy_(from_weight.mean(dim=1, keepdim=True).expand_as(weight))
    bias.fill_(-math.log((1 - PRIOR) / PRIOR))
    shared = [label for label, name in enumerate(names) if name in source_names]
    for label in shared:
        theirs = source_names.index(names[label])
        weight[:, label], bias[:, label] = from_weight[:, theirs], from_bias[:, theirs]
    return same_anchors and len(shared) == len(names)
