"""Which channels of a network are the same thing, and which of them matter most.

A channel cannot be taken out of one layer alone: what a batch norm scales, a depthwise filter
filters, a squeeze-and-excite weighs and a shortcut adds are all the channels of the convolutions
that made them. The network's own graph says which belong together.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Ends:
    """The channel space that a layer reads and the one it writes."""

    reads: int
    writes: int


class _Leaves(fx.Tracer):
    """Follows a network down to its layers, and into none of them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


@dataclass
class _Spaces:
    """Channel spaces by number; some turn out to be one."""

    parents: list[int] = field(default_factory=list)

    def new(self) -> int:
        self.parents.append(len(self.parents))
        return len(self.parents) - 1

    def find(self, space: int) -> int:
        while self.parents[space] != space:
            space = self.parents[space]
        return space

    def join(self, a: int, b: int) -> int:
        self.parents[self.find(b)] = self.find(a)
        return self.find(a)


def channel_spaces(model: nn.Module) -> dict[str, Ends]:
    """The spaces of every layer with weights, by its name; equal numbers are the same channels.

    A full convolution writes a new space, everything else keeps the one it reads, and a sum or
    product makes its operands' spaces one.
    """
    spaces, at, layers = _Spaces(), dict[fx.Node, int](), dict[str, Ends]()
    for node in _Leaves().trace(model).nodes:
        inputs = [at[arg] for arg in node.args if isinstance(arg, fx.Node)]
        if not inputs:
            at[node] = spaces.new()
            continue
        at[node] = inputs[0]
        if node.op == "call_module":
            layer = model.get_submodule(str(node.target))
            if isinstance(layer, nn.Conv2d) and layer.groups == 1:
                at[node] = spaces.new()
            if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
                layers[str(node.target)] = Ends(inputs[0], at[node])
        elif node.target in (operator.add, operator.mul) and len(inputs) == 2:
            at[node] = spaces.join(*inputs)
    return {
        name: Ends(spaces.find(ends.reads), spaces.find(ends.writes))
        for name, ends in layers.items()
    }


@torch.no_grad()
def importance(model: nn.Module, layers: dict[str, Ends]) -> dict[int, Tensor]:
    """How much each channel matters, (C,) for each space, only to be compared within it.

    How much the channel varies (the batch norms' gains, or the filters' size where there is none)
    times how much those who read it make of it (L1 norm of their weights on it), each measured
    in parts of the layer's mean, so that every layer has one vote.
    """
    made: dict[int, list[Tensor]] = {}
    raw: dict[int, list[Tensor]] = {}
    used: dict[int, list[Tensor]] = {}
    for name, ends in layers.items():
        layer = model.get_submodule(name)
        if isinstance(layer, nn.BatchNorm2d):
            made.setdefault(ends.writes, []).append(_in_parts(layer.weight.abs()))
        elif isinstance(layer, nn.Conv2d):
            size = layer.weight.abs()
            if layer.groups == 1:
                raw.setdefault(ends.writes, []).append(_in_parts(size.sum((1, 2, 3))))
                used.setdefault(ends.reads, []).append(_in_parts(size.sum((0, 2, 3))))
            else:
                used.setdefault(ends.reads, []).append(_in_parts(size.sum((1, 2, 3))))
    scores: dict[int, Tensor] = {}
    for space in {ends.writes for ends in layers.values()}:
        gain = torch.stack(made.get(space) or raw[space]).mean(0)
        readers = used.get(space)
        scores[space] = gain * torch.stack(readers).mean(0) if readers else gain
    return scores


def _in_parts(values: Tensor) -> Tensor:
    """`values` over their mean; ones where all are zero."""
    mean = values.mean()
    return values / mean if mean > 0 else torch.ones_like(values)


def strongest(scores: Tensor, count: int) -> Tensor:
    """The indices of the `count` highest scores, ascending, so that keeping all changes nothing."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values
