"""OpenVINO's own format: NAME.xml and NAME.bin, any input size, metadata under `detector`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.engine import import_openvino, openvino_core
from detector.export import onnx as builder
from detector.export.formats import Runner
from detector.export.interface import Order


def write(path: Path, order: Order) -> None:
    """Write both files; what the file says of itself is its `rt_info`."""
    ov = import_openvino()
    proto = builder.build(order, {})
    model = openvino_core().read_model(proto.SerializeToString())
    for key, value in order.described().items():
        model.set_rt_info(value, ["detector", key])
    # Weights are halves already, where they may be; it would halve the anchors too, which need
    # every digit.
    ov.save_model(model, path, compress_to_fp16=False)


def load(path: Path, order: Order, threads: int) -> Runner:
    """Runs the files with OpenVINO on the CPU, in float32 as the engine of this project does."""
    model = openvino_core().read_model(path)
    side = order.size
    model.reshape([1, side, side, 3] if order.input == "frame" else [1, 3, side, side])
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino_core().compile_model(model, "CPU", options).create_infer_request()

    def run(frame: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        request.infer([order.feed(frame)], share_inputs=True)
        return {name: request.get_tensor(name).data.copy() for name in order.output_names}

    return run
