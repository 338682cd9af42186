"""Multiply-adds of a model file, counted from the shapes of its layers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from detector.engine import openvino_core

# Weights (C_out, C_in, h, w) of a convolution; (groups, C_out / groups, C_in / groups, h, w).
_OUTPUT_CHANNEL_AXES = {"Convolution": 1, "GroupConvolution": 2}


def count_multiply_adds(path: Path, size_hw: tuple[int, int]) -> int:
    """Multiply-adds of all convolutions for one picture at `size_hw`; the rest is next to nothing.

    Each value of an output takes one for every weight of its filter. Boxes are decoded without
    products of matrices, so there are no others to count. As in the MobileNet papers.
    """
    model = openvino_core().read_model(path)
    model.reshape([1, *size_hw, 3])
    return sum(_of(op) for op in model.get_ops())


def _of(op: Any) -> int:
    axes = _OUTPUT_CHANNEL_AXES.get(op.get_type_name())
    if axes is None:
        return 0
    weights = op.input(1).get_partial_shape().to_shape()
    outputs: int = math.prod(op.output(0).get_partial_shape().to_shape())
    return outputs * int(math.prod(weights[axes:]))
