"""What every layer of a network costs: parameters, multiply-adds, memory, and what it sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from detector.model.receptive_field import Field, FieldTracker

BYTES = 4  # of a float32


@dataclass(frozen=True)
class LayerCost:
    """One row of the table.

    name: the module's path. kind: "conv", "depthwise", "grouped", "pointwise", "norm", "linear" or,
    for layers without parameters, the class's name. kernel, stride: 0 where the layer has none.
    in_shape, out_shape: (C, H, W), or (C,) of a linear layer. multiply_adds: of convolutions and
    linear layers, biases not counted; 0 for the rest, as in the papers (an engine folds batch norms
    into the convolutions). field: what a cell of the output sees of the picture; None where there
    are no cells of one stride.
    """

    name: str
    kind: str
    kernel: int
    stride: int
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    params: int
    multiply_adds: int
    field: Field | None = None

    @property
    def memory(self) -> int:
        """Bytes of the output in float32; int8 takes a quarter."""
        return BYTES * math.prod(self.out_shape)


@torch.no_grad()
def layer_costs(model: nn.Module, size_hw: tuple[int, int]) -> list[LayerCost]:
    """A row for each layer in the order of running, on one picture (3, H, W) of `size_hw`.

    Runs on shapes alone (torch's meta device), so the size costs neither time nor memory. `model`
    is left as it was; a layer run twice has two rows, parameters in the first.
    """
    rows: list[LayerCost] = []
    seen: set[nn.Module] = set()
    images = torch.empty(1, 3, *size_hw, device="meta")
    tracker = FieldTracker(images)

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            field = tracker.of(output)
            rows.append(_row(name, layer, inputs[0], output, field, layer in seen))
            seen.add(layer)

        return record

    hooks = [
        layer.register_forward_hook(hook_of(name))
        for name, layer in model.named_modules()
        if not list(layer.children()) and not isinstance(layer, nn.Identity)
    ]
    modes = {layer: layer.training for layer in model.modules()}
    state = chain(model.named_parameters(), model.named_buffers())
    shapes = {name: tensor.to("meta") for name, tensor in state}
    try:
        with tracker:
            functional_call(model.eval(), shapes, (images,))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in modes.items():
            layer.training = training
    return rows


def _row(
    name: str, layer: nn.Module, x: Tensor, y: Tensor, field: Field | None, again: bool
) -> LayerCost:
    kind, kernel, stride, multiply_adds = type(layer).__name__, 0, 0, 0
    if isinstance(layer, nn.Conv2d):
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        kind = _kind(layer)
        multiply_adds = layer.weight.numel() * math.prod(y.shape[2:])
    elif isinstance(layer, nn.Linear):
        kind, multiply_adds = "linear", layer.weight.numel()
    elif isinstance(layer, nn.BatchNorm2d):
        kind = "norm"
    params = 0 if again else sum(p.numel() for p in layer.parameters())
    shapes = tuple(x.shape[1:]), tuple(y.shape[1:])
    return LayerCost(name, kind, kernel, stride, *shapes, params, multiply_adds, field)


def _kind(layer: nn.Conv2d) -> str:
    if layer.groups > 1:
        return "depthwise" if layer.groups == layer.in_channels else "grouped"
    return "pointwise" if layer.kernel_size == (1, 1) else "conv"


def totals(rows: Sequence[LayerCost]) -> tuple[int, int]:
    """(parameters, multiply-adds) of all rows."""
    return sum(row.params for row in rows), sum(row.multiply_adds for row in rows)
