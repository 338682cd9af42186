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
from detector.preprocess import to_batch

COMPARED = 8  # pictures
PRECISIONS: tuple[Precision, ...] = ("float16", "float32")


def faithful_onnx(
    model: SSDLite, card: ModelCard, examples: Sequence[Example], say: Callable[[str], None]
) -> onnx.ModelProto:
    """The network as a model file, compared with torch on some pictures in ONNX Runtime.

    Boxes are compared in pixels of the network's input: of a large photograph, half a pixel is less
    than any rounding. In float16 they count by their scores (`agreement`), since a box of low score
    may well move by one. Those of a network that has hardly learned move by more (its batch norms
    blow up small differences); its weights then stay in float32, and `say` is told. DetectorError
    where even that file does not agree.
    """
    said: list[str] = []
    for precision in PRECISIONS:
        order = Order(
            model, card, card.input_size or model.anchors.native_size, precision=precision
        )
        proto = build(order, {})
        found = _compared(proto, order, examples)
        by_score = " (by their scores)" if precision == "float16" else ""
        apart = f"boxes by {found.boxes_px:.3g} px{by_score}, scores by {found.scores:.3g}"
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
        run, frames = load(path, order, torch.get_num_threads()), _frames(examples, order.size)
        return Agreement(*agreement(order, run, frames, order.precision == "float16"))


def _frames(examples: Sequence[Example], side: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The first readable pictures as the network sees them, one at a time: they may be large."""
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
        yield to_batch(frame, (side, side))[0]
