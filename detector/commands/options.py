"""Options that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from detector.errors import DetectorError

if TYPE_CHECKING:
    from detector.predictor import Detector


# None first: tyro tries a field's default on each in turn, and for a tuple it loads a type checker,
# which is a tenth of the whole start.
Names = None | tuple[str, ...]


def shown(metavar: str, default: str = "") -> Any:
    """How --help shows an option: its value as `metavar`, and instead of None what None means."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=default and f"(default: {default})")


@dataclass(frozen=True)
class ModelOptions:
    """Which model runs, and how."""

    model: Annotated[str, shown("FILE", "coco")] = "coco"
    """Model file (.onnx) written by this project, or "coco" for the embedded one of 80 classes."""
    classes: Annotated[Names, shown("NAME [NAME ...]", "all it knows")] = None
    """Look for these only, for instance: --classes person cat."""
    score: Annotated[float | None, shown("0..1", "the model's own, mostly 0.5")] = None
    """Show detections of at least this score."""
    iou: Annotated[float | None, shown("0..1", "the model's own, mostly 0.6")] = None
    """Of two boxes of a class that overlap by more, keep the better."""
    top_k: Annotated[int | None, shown("N", "the model's own, mostly 100")] = None
    """At most so many detections a picture."""
    vote: Annotated[float | None, shown("0..1", "the model's own, mostly 0.05")] = None
    """How much boxes that overlap the one kept pull it: each with what it scores above half as
    much, times exp(-(1 - IoU)^2 / this), and its score falls as far as they disagree.
    0: neither."""
    size: Annotated[
        int | Literal["auto"] | None, shown("PIXELS", "the model's own, mostly 300")
    ] = None
    """Side of the network's input, 96 to 1280: more finds smaller objects and takes longer. In the
    demo also auto: the largest that holds --fps."""
    scales: Annotated[Names, shown("PIXELS,PIXELS", "one size")] = None
    """Accurate mode: several sizes at once, as 300,512. Large objects are taken from the small one,
    small objects from the large one."""
    tiles: int = 1
    """For small objects in large pictures: look at the whole, and closer at so many overlapping
    tiles along its longer side (2 to 16). 2 takes some 5 times as long, 4 some 16 times."""
    engine: Literal["openvino", "onnxruntime"] = "openvino"
    """What runs the network; onnxruntime is an extra install."""
    precision: Literal["auto", "float", "int8"] = "auto"
    """int8 is faster with openvino on CPUs with VNNI, AMX or dotprod: there auto takes the embedded
    model's int8 file. A --model FILE is run as it is; float or int8 take NAME.onnx or
    NAME-int8.onnx."""
    threads: int = 0
    """Cores to use; 0 for all."""

    def load(self, *, streams: int = 1) -> Detector:
        """The Detector these options mean; DetectorError where they make no sense."""
        from detector.predictor import Detector

        scales = self.sizes()
        return Detector(
            self.model,
            engine=self.engine,
            precision=self.precision,
            size=self.fixed_size(),
            score=self.score,
            iou=self.iou,
            classes=split_names(self.classes or ()),
            top_k=self.top_k,
            vote=self.vote,
            threads=self.threads,
            streams=streams,
            scales=scales,
            tiles=self.tiles,
        )

    def fixed_size(self) -> int | None:
        """`size`; DetectorError for auto, which needs a frame rate to hold."""
        if self.size == "auto":
            raise DetectorError(
                "--size auto: only one size at a time, in `detector demo`; expected pixels here"
            )
        return self.size

    def sizes(self) -> list[int] | None:
        """`scales` as numbers; DetectorError for what is none."""
        if self.scales is None:
            return None
        try:
            return [int(word) for word in split_names(self.scales)]
        except ValueError:
            given = " ".join(self.scales)
            raise DetectorError(
                f"--scales {given}: expected sizes in pixels, for instance 300,512"
            ) from None


# How a verb takes them: as --size, not --options.size, under the heading "model options".
ModelGroup = Annotated[ModelOptions, tyro.conf.arg(name="model"), tyro.conf.OmitArgPrefixes]


def split_names(names: tuple[str, ...]) -> list[str]:
    """`person cat` and `person,cat` alike."""
    return [part.strip() for name in names for part in name.split(",") if part.strip()]
