"""TensorFlow Lite, run by LiteRT: one input size.

Written straight from the ONNX graph, of which a MobileNet has some fifteen kinds of operators.
(litert-torch would do it too, but brings 0.9 GB, JAX and transformers among it, and wants a
`typing-extensions` that tyro cannot live with; onnx2tf brings TensorFlow and an old NumPy.)
Class names and all else that a file says of itself are in a zip archive behind the graph, as
TensorFlow Lite's own tools do it: `unzip -p model.tflite labels.txt`.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.export.formats import Runner
from detector.export.interface import Order
from detector.export.network import Shipped

_ZIP_START = (1980, 1, 1, 0, 0, 0)  # the same order gives the same file


def write(path: Path, order: Order) -> None:
    """Write the file; DetectorError for a network with an operator that is not known here."""
    from detector.export.formats.onnx_to_lite import Converter
    from detector.export.onnx import trace

    proto = trace(Shipped(order), order, order.output_names)
    path.write_bytes(Converter(proto, order.precision).pack(proto))
    about = json.dumps(order.described(), ensure_ascii=False, indent=1)
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in (
            ("labels.txt", "\n".join(order.card.class_names) + "\n"),
            ("detector.json", about + "\n"),
        ):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_START), text)


def load(path: Path, order: Order, threads: int) -> Runner:
    """Runs the file with LiteRT on the CPU (XNNPACK)."""
    litert = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(path), num_threads=threads)
    run_signature = interpreter.get_signature_runner("serving_default")

    def run(frame: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        return dict(run_signature(**{order.input_name: order.feed(frame)}))

    return run
