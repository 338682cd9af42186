"""What every layer of a network costs: parameters and multiply-adds at one input size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerCost:
    """One row of the table.

    name: the module's path. kind: "conv", "depthwise", "pointwise", "norm", "linear" or, for layers
    without parameters, the class's name. kernel, stride: 0 where the layer has none.
    in_shape, out_shape: (C, H, W), or (C,) of a linear layer. multiply_adds: of convolutions and
    linear layers, biases not counted; 0 for the rest, as in the papers (an engine folds batch norms
    into the convolutions).
    """

    name: str
    kind: str
    kernel: int
    stride: int
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    params: int
    multiply_adds: int


@torch.no_grad()
def layer_costs(model: nn.Module, size_hw: tuple[int, int]) -> list[LayerCost]:
    """A row for each layer in the order of running, on one picture (3, H, W) of `size_hw`.

    `model` is left in the mode it was in; a layer run twice has two rows, parameters in the first.
    """
    rows: list[LayerCost] = []
    seen: set[nn.Module] = set()

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            rows.append(_row(name, layer, inputs[0], output, layer in seen))
            seen.add(layer)

        return record

    hooks = [
        layer.register_forward_hook(hook_of(name))
        for name, layer in model.named_modules()
        if not list(layer.children()) and not isinstance(layer, nn.Identity)
    ]
    modes = {layer: layer.training for layer in model.modules()}
    try:
        model.eval()(torch.zeros(1, 3, *size_hw))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in modes.items():
            layer.training = training
    return rows


def _row(name: str, layer: nn.Module, x: Tensor, y: Tensor, again: bool) -> LayerCost:
    kind, kernel, stride, multiply_adds = type(layer).__name__, 0, 0, 0
    if isinstance(layer, nn.Conv2d):
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        kind = "depthwise" if layer.groups > 1 else "pointwise" if kernel == 1 else "conv"
        multiply_adds = layer.weight.numel() * math.prod(y.shape[2:])
    elif isinstance(layer, nn.Linear):
        kind, multiply_adds = "linear", layer.weight.numel()
    elif isinstance(layer, nn.BatchNorm2d):
        kind = "norm"
    params = 0 if again else sum(p.numel() for p in layer.parameters())
    shapes = tuple(x.shape[1:]), tuple(y.shape[1:])
    return LayerCost(name, kind, kernel, stride, *shapes, params, multiply_adds)


def totals(rows: list[LayerCost]) -> tuple[int, int]:
    """(parameters, multiply-adds) of all rows."""
    return sum(row.params for row in rows), sum(row.multiply_adds for row in rows)
