"""The model file that a run leaves: float16 where that finds what torch does, else float32."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

from detector.data.example import Example
from detector.errors import DetectorError, OutOfMemoryError
from detector.export.agree import MOST_PX, MOST_SCORE, Agreement, agreement
from detector.export.formats.onnxfile import load
from detector.export.interface import Order, Precision
from detector.export.onnx import build, write
from detector.images import read_image
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite

COMPARED = 8  # pictures
PRECISIONS: tuple[Precision, ...] = ("float16", "float32")


def faithful_onnx(
    model: SSDLite, card: ModelCard, examples: Sequence[Example], say: Callable[[str], None]
) -> onnx.ModelProto:
    """The network as a model file, compared with torch on some pictures in ONNX Runtime.

    Rounding to float16 moves the boxes of a network that has hardly learned (its batch norms blow
    up small differences); its weights then stay in float32, and `say` is told. DetectorError where
    even that file does not agree.
    """
    said: list[str] = []
    for precision in PRECISIONS:
        order = Order(
            model, card, card.input_size or model.anchors.native_size, precision=precision
        )
        proto = build(order, {})
        found = _compared(proto, order, examples)
        apart = f"boxes by {found.boxes_px:.3g} px, scores by {found.scores:.3g}"
        if found.holds:
            if said:
                say(f"model.onnx is in {precision}: in {said[0]} differ")
            return proto
        said.append(f"{precision} {apart}")
    raise DetectorError(
        "model.onnx: not written, since it does not find what torch does: "
        f"{'; '.join(said)} (at most {MOST_PX} px, {MOST_SCORE}). The network itself is whole in "
        "best.ckpt, but it has learned nothing steady: train longer, or with a smaller --lr"
    )


def _compared(proto: onnx.ModelProto, order: Order, examples: Sequence[Example]) -> Agreement:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        write(path, proto)
        return Agreement(
            *agreement(order, load(path, order, torch.get_num_threads()), _frames(examples))
        )


def _frames(examples: Sequence[Example]) -> Iterator[npt.NDArray[np.uint8]]:
    """The first readable pictures, one at a time: they may be large."""
    left = COMPARED
    for example in examples:
        if not left:
            return
        try:
            frame = read_image(example.path)
        except OutOfMemoryError:
            raise
        except DetectorError:  # counted when the run began
            continue
        left -= 1
        yield frame
