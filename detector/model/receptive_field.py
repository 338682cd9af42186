"""What part of the picture each cell of a feature map sees, followed through a running network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
POOLS = (_aten.max_pool2d_with_indices.default, _aten.avg_pool2d.default)
# Each number that these give has seen all that went in. Means over other axes do not occur.
GLOBAL = (
    *(_aten.mean.dim, _aten._adaptive_avg_pool2d.default),
    *(_aten.addmm.default, _aten.mm.default),
)


@dataclass(frozen=True)
class Field:
    """Which columns of the picture a cell may depend on; the rows are alike, for square kernels.

    The cell in column i sees the columns low + i * stride to high + i * stride, and beyond the
    picture's edge the padding. stride: pixels between neighbouring cells' fields; 0 where a
    global mean has left no grid. whole: besides these it sees the whole picture through a global
    mean, as squeeze-and-excite has it.
    """

    low: int
    high: int
    stride: int
    whole: bool = False

    @property
    def size(self) -> int:
        """Side of the field in pixels."""
        return self.high - self.low + 1

    def window(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> Field:
        """The field behind a convolution or a pooling window (sizes in cells of this map)."""
        low = self.low - padding * self.stride
        reach = dilation * (kernel - 1) * self.stride
        return replace(self, low=low, high=low + self.size - 1 + reach, stride=self.stride * stride)


class FieldTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, notes the field of every tensor computed from `images`.

    Branches that meet are united: the field is as wide as the widest of them.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # By identity, each tensor kept alive so that no other takes its place.
        self._fields: dict[int, tuple[Tensor, Field]] = {id(images): (images, Field(0, 0, 1))}

    def of(self, tensor: Tensor) -> Field | None:
        """The field of a tensor; None if it does not depend on the images or has no one stride."""
        found = self._fields.get(id(tensor))
        return found[1] if found else None

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `op` and note what its results see."""
        given = [self.of(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = op(*args, **(kwargs or {}))
        field = _after(op, args, _united(f for f in given if f is not None))
        for result in tree_leaves(results):
            if isinstance(result, Tensor) and field is not None:
                self._fields[id(result)] = (result, field)
        return results


def _united(fields: Iterable[Field]) -> Field | None:
    """One field that holds all; None for maps of several strides, which share no cells."""
    every = list(fields)
    grids = [field for field in every if field.stride]
    if not grids or len({field.stride for field in grids}) > 1:
        return every[0] if every and not grids else None
    return Field(
        min(field.low for field in grids),
        max(field.high for field in grids),
        grids[0].stride,
        any(field.whole for field in every),
    )


def _after(op: Any, args: tuple[Any, ...], field: Field | None) -> Field | None:
    """The field behind one operation on tensors that see `field`."""
    if field is None:
        return None
    if op in GLOBAL:
        return replace(field, stride=0, whole=True)
    if op == _aten.convolution.default:
        weight, _, stride, padding, dilation = args[1:6]
        return field.window(weight.shape[-1], stride[-1], padding[-1], dilation[-1])
    if op in POOLS:
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else [0]
        return field.window(kernel[-1], stride[-1], padding[-1])
    if op == _aten.constant_pad_nd.default:
        return field.window(1, 1, args[1][0])
    return field
