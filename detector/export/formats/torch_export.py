"""torch.export's `.pt2`, for hosts with PyTorch but without this project.

TorchScript, its forerunner, is deprecated. One input size, float32 weights; what the file says of
itself is its extra file `detector.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from detector.export.formats import Runner
from detector.export.interface import Order
from detector.export.network import Shipped, example


def write(path: Path, order: Order) -> None:
    """Write the file."""
    with torch.no_grad():
        program = torch.export.export(Shipped(order).eval(), (example(order),))
    about = json.dumps({**order.described(), "precision": "float32"}, ensure_ascii=False)
    torch.export.save(program, path, extra_files={"detector.json": about})


def load(path: Path, order: Order, threads: int) -> Runner:
    """Runs the file in eager PyTorch, which has the process's number of threads."""
    network = torch.export.load(path).module()

    def run(frame: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            found = network(torch.from_numpy(order.feed(frame)))
        return {name: y.numpy() for name, y in zip(order.output_names, found, strict=True)}

    return run
