"""One file for each format: `write` an order to a path, `load` it in the format's own runtime.

`write(path, order)` leaves one or more whole files whose names begin like `path`'s.
`load(path, order, threads)` gives a Runner. Both import the format's packages, and raise
ModuleNotFoundError where those are missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from detector.errors import DetectorError
from detector.export.interface import Order, Outputs

# uint8 BGR (1, H, W, 3) in, the file's outputs by name. For one thread at a time.
Runner = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Format:
    """A format as the command line knows it. suffix: of the file named; others may lie beside it.

    outputs: what it can give, see `detector.export.interface`. packages: what has to be installed.
    beside: suffixes of the files that go with it.
    """

    name: str
    suffix: str
    outputs: tuple[Outputs, ...]
    packages: tuple[str, ...]
    beside: tuple[str, ...] = ()

    def write(self, path: Path, order: Order) -> None:
        """Write the file or files of an order."""
        importlib.import_module(f"{__name__}.{self.name}").write(path, order)

    def load(self, path: Path, order: Order, threads: int) -> Runner:
        """The written file in the runtime that the format is for, on `threads` cores."""
        module = importlib.import_module(f"{__name__}.{self.name}")
        return cast(Runner, module.load(path, order, threads))


FORMATS = (
    Format("onnxfile", ".onnx", ("boxes", "raw", "nms"), ("onnx", "onnxruntime")),
    Format("openvino_ir", ".xml", ("boxes", "raw", "nms"), ("onnx", "openvino"), (".bin",)),
    Format("torch_export", ".pt2", ("boxes", "raw"), ("torch",)),
    Format("tflite", ".tflite", ("boxes", "raw"), ("onnx", "ai_edge_litert")),
    Format("ncnn_param", ".param", ("boxes", "raw"), ("pnnx", "ncnn"), (".bin", ".json")),
)


def format_of(path: Path) -> Format:
    """The format that a file name's suffix means; DetectorError when it means none."""
    for known in FORMATS:
        if path.suffix.lower() == known.suffix:
            return known
    raise DetectorError(
        f"--out {path}: no format ends in {path.suffix or 'nothing'!r}; expected "
        + ", ".join(known.suffix for known in FORMATS)
    )
