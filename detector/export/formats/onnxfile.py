"""ONNX, run by ONNX Runtime: this project's own model file, or a plain variant of it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.export import onnx as builder
from detector.export.formats import Runner
from detector.export.interface import Order


def write(path: Path, order: Order) -> None:
    """Write the file; any input size, metadata inside."""
    builder.write(path, builder.build(order, {}))


def load(path: Path, order: Order, threads: int) -> Runner:
    """Runs the file with ONNX Runtime on the CPU."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    for side in ("height", "width"):  # as a host that knows its size would
        options.add_free_dimension_override_by_name(side, order.size)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(frame: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        found = session.run(order.output_names, {order.input_name: order.feed(frame)})
        return dict(zip(order.output_names, found, strict=True))

    return run
