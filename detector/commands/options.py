"""Options that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detector.predictor import Detector



@dataclass(frozen=True)
class ModelOptions:
    """Which model runs, and how."""

    model: str = "coco"
    """Model file (.onnx) written by this project, or "coco" for the embedded one of 80 classes."""
    classes: tuple[str, ...] = ()
    """Look for these only, for instance: --classes person cat. Default: all the model knows."""
    score: float | None = None
    """Show detections of at least this score, 0 to 1. Default: the model file's own (0.5)."""
    iou: float | None = None
    """Of two boxes of a class that overlap by more (0 to 1), keep the better. Default: 0.6."""
    top_k: int = 100
    """At most so many detections a picture."""
    size: int | None = None
    """Side of the network's input in pixels, 96 to 1280. Default: the model's own (300)."""
    engine: Literal["openvino", "onnxruntime"] = "openvino"
    """What runs the network; onnxruntime is an extra install."""
    precision: Literal["auto", "float", "int8"] = "auto"
    """int8 is faster on CPUs with VNNI, AMX or dotprod, where auto takes it; float elsewhere."""
    threads: int = 0
    """Cores to use; 0 for all."""

    def load(self, *, streams: int = 1) -> Detector:
        """The Detector these options mean; DetectorError where they make no sense."""
        return Detector(
            self.model,
            engine=self.engine,
            precision=self.precision,
            size=self.size,
            score=self.score,
            iou=self.iou,
            classes=_split(self.classes),
            top_k=self.top_k,
            threads=self.threads,
            streams=streams,
        )


def _split(names: tuple[str, ...]) -> list[str]:
    """`person cat` and `person,cat` alike."""
    return [part.strip() for name in names for part in name.split(",") if part.strip()]
