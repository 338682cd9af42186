"""The most multiply-adds a second this machine can do: the limit that networks are held against.

Measured, not looked up: clock, cores and instructions differ from what a data sheet says. The work
is a stack of 1x1 convolutions, which are products of matrices, by the fastest engine we know.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.engine import import_openvino, openvino_core

LAYERS = 8  # so that what is done once a call weighs little
# (channels, side): each about 0.5 G multiply-adds; a cache may favour either.
SHAPES = ((256, 32), (512, 16))
_RANGE = 2.55  # of activations in the int8 form: steps of 0.01


def peak_rate(precision: str, threads: int, seconds: float) -> float:
    """Multiply-adds a second of the best call, trying for `seconds` in all.

    precision: "float" (32 bits) or "int8" (8-bit factors, 32-bit sums).
    """
    rates = []
    for channels, side in SHAPES:
        call = _compiled(channels, side, precision, threads)
        work = LAYERS * channels * channels * side * side
        rates.append(work / shortest(call, seconds / len(SHAPES)))
    return max(rates)


def shortest(
    call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of the quickest of the calls that fit into `seconds`; one goes ahead uncounted."""
    call()
    began = clock()
    best = float("inf")
    while best == float("inf") or clock() - began < seconds:
        start = clock()
        call()
        best = min(best, clock() - start)
    return best


def stack(channels: int, side: int, precision: str) -> Any:
    """An openvino.Model of LAYERS 1x1 convolutions with ReLU, (1, C, side, side) in and out.

    For int8 its activations and weights are quantised as in a quantised network's file, which
    OpenVINO turns into int8 arithmetic.
    """
    ov = import_openvino()
    ops = ov.opset13
    rng = np.random.default_rng(0)
    x = node = ops.parameter([1, channels, side, side], np.float32)
    for _ in range(LAYERS):
        whole = rng.integers(-127, 128, (channels, channels, 1, 1), dtype=np.int8)
        scale = np.float32(0.02 / np.sqrt(channels))  # keeps activations at about 1
        if precision == "int8":
            low, high = np.float32(0), np.float32(_RANGE)
            node = ops.fake_quantize(node, low, high, low, high, 256)
            weights = ops.multiply(ops.convert(ops.constant(whole), np.float32), scale)
        else:
            weights = ops.constant(whole * scale)
        node = ops.relu(ops.convolution(node, weights, [1, 1], [0, 0], [0, 0], [1, 1]))
    return ov.Model([node], [x], "peak")


def compile_stack(channels: int, side: int, precision: str, threads: int) -> Any:
    """`stack` compiled for `threads` cores."""
    options = {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino_core()
    return core.compile_model(stack(channels, side, precision), "CPU", options)


def _compiled(channels: int, side: int, precision: str, threads: int) -> Callable[[], object]:
    request = compile_stack(channels, side, precision, threads).create_infer_request()
    rng = np.random.default_rng(1)
    batch: npt.NDArray[np.float32] = rng.random((1, channels, side, side), dtype=np.float32)

    def call() -> object:
        return request.infer([batch], share_inputs=True)

    return call
