"""What goes into an exported file and what comes out: this project's way, or a plainer one.

Inputs. frame: uint8 BGR (1, H, W, 3), as OpenCV reads pictures. tensor: float32 RGB (1, 3, H, W) in
0..1. ncnn has no first axis and no uint8: its frame is float32 BGR (3, H, W) in 0..255.

Outputs. boxes: `boxes` (1, A, 4) xyxy in fractions of the frame, `scores` (1, A, K) in 0..1; NMS is
left to the host. raw: `logits` (1, A, K) and `offsets` (1, A, 4) as the heads give them; a .json
beside the file holds the anchors. nms: `boxes` (D, 4), `scores` (D,), `labels` (D,) int64 of what
is left after NMS, best first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from detector import metadata
from detector.detections import Limits
from detector.evaluation.torch_detector import measured_with
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import CENTRE_VARIANCE, SIZE_VARIANCE
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite

Input = Literal["frame", "tensor"]
Outputs = Literal["boxes", "raw", "nms"]
Precision = Literal["float16", "float32"]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Order:
    """An export that is asked for: of which network, at which input size, with which interface.

    model: in any mode; nobody changes it. size: side of the input in pixels; formats that can take
    any size ignore it but for their metadata. precision: of the weights in the file; computing is
    in float32. score, iou, top_k: only for outputs "nms".
    """

    model: SSDLite
    card: ModelCard
    size: int
    input: Input = "frame"
    outputs: Outputs = "boxes"
    precision: Precision = "float16"
    score: float = 0.05
    iou: float = metadata.IOU
    top_k: int = metadata.TOP_K

    @property
    def input_name(self) -> str:
        """Of the one input."""
        return "frame" if self.input == "frame" else "images"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of the outputs, in order."""
        return {
            "boxes": ("boxes", "scores"),
            "raw": ("logits", "offsets"),
            "nms": ("boxes", "scores", "labels"),
        }[self.outputs]

    @property
    def plain(self) -> bool:
        """Whether it is a variant for other hosts, which this project's runtime does not take."""
        return self.input != "frame" or self.outputs != "boxes"

    def feed(self, frame: UInt8) -> UInt8 | Float32:
        """A frame, uint8 BGR (1, H, W, 3), as the exported network takes it."""
        if self.input == "frame":
            return frame
        planes = np.ascontiguousarray(frame[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        planes /= 255
        return planes

    def limits(self) -> Limits:
        """Those that are inside the file, or that it is judged by where NMS is left to the host."""
        if self.outputs == "nms":
            return Limits(self.score, self.iou, self.top_k, self.card.vote)
        return measured_with(self.card)

    def described(self) -> dict[str, str]:
        """What a file says of itself, all strings: see `detector.metadata`."""
        card = self.card
        fields = metadata.describe(
            card.class_names,
            self.size,
            precision=self.precision,
            top_k=card.top_k,
            vote=card.vote,
        )
        for key in ("backbone", "trained_on", "licence", "source"):
            fields[key] = str(getattr(card, key))
        fields["alpha"] = str(card.alpha)
        if card.head != "ssdlite":
            fields["head"] = card.head
        if self.plain:
            fields["format"] += f" with input {self.input}, outputs {self.outputs}"
        if self.outputs == "nms":
            fields.update(score=str(self.score), iou=str(self.iou), top_k=str(self.top_k))
        return fields

    def anchors(self) -> Mapping[str, object]:
        """What a host of raw outputs needs to decode them, as plain values for JSON."""
        rows = anchors_cxcywh(self.model.anchors, (self.size, self.size))
        return {
            "anchors_cxcywh": [[round(float(v), 7) for v in row] for row in rows],
            "centre_variance": CENTRE_VARIANCE,
            "size_variance": SIZE_VARIANCE,
        }
