"""What a training run can be told. No torch here: `detector --help` shows it without."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import tyro

from detector.commands.options import shown
from detector.metadata import VOTE

OptimiserName = Literal["adamw", "sgd", "rmsprop"]
Matcher = Literal["iou", "dynamic"]
ClassLoss = Literal["focal", "ohem", "quality"]
BoxLoss = Literal["smooth-l1", "giou"]
BatchNorms = Literal["auto", "frozen", "trained"]
Precision = Literal["auto", "32", "bf16-mixed"]
AnchorChoice = Literal["auto", "own", "fit"]
HeadChoice = Literal["own", "ssdlite", "ssd"]


class Rates(NamedTuple):
    """How far a step goes."""

    lr: float
    head_lr: float
    weight_decay: float


# From short runs on kept-out quarters of train, fine-tuned and from scratch (docs/training.md).
# 4e-5 is MobileNetV2's (section 6.1); AdamW's decay is no part of the gradient and so much larger.
RATES: dict[OptimiserName, Rates] = {
    "adamw": Rates(lr=2e-4, head_lr=1e-3, weight_decay=0.05),
    "sgd": Rates(lr=2e-3, head_lr=5e-2, weight_decay=4e-5),
    "rmsprop": Rates(lr=2e-5, head_lr=1e-3, weight_decay=4e-5),
}
FROM_SCRATCH = RATES | {"adamw": RATES["adamw"]._replace(head_lr=3e-3)}


@dataclass(frozen=True)
class Recipe:
    """How the network is moved; the defaults are for fine-tuning from COCO."""

    optimiser: OptimiserName = "adamw"
    """adamw; sgd with momentum 0.9; rmsprop, the MobileNet papers' (decay and momentum 0.9)."""
    lr: Annotated[float | None, shown("N", "adamw 2e-4, sgd 2e-3, rmsprop 2e-5")] = None
    """Learning rate of layers that come with weights."""
    head_lr: Annotated[float | None, shown("N", "adamw 1e-3, sgd 5e-2, rmsprop 1e-3")] = None
    """Learning rate of layers that start at random; adamw 3e-3 where all do (--weights none)."""
    weight_decay: Annotated[float | None, shown("N", "adamw 0.05, others 4e-5")] = None
    """Never applied to depthwise filters, batch norms and biases (MobileNetV1, section 3.2)."""
    warmup: float = 0.05
    """Share of the run over which the learning rates rise from zero."""
    clip: float = 10.0
    """Largest norm of all gradients together."""
    ema: float = 0.99
    """Decay of the weights' moving average, which is what is measured and kept; 0 for none."""

    def rates(self, own: dict[OptimiserName, Rates] = RATES) -> Rates:
        """Those given, else the optimiser's own."""
        given = {name: getattr(self, name) for name in Rates._fields}
        return own[self.optimiser]._replace(
            **{name: rate for name, rate in given.items() if rate is not None}
        )


@dataclass(frozen=True)
class LossOptions:
    """Which matcher and losses, and how the box loss weighs against the class loss."""

    matcher: Matcher = "iou"
    """Which anchors answer for a box: by overlap (SSD), or those that do it best so far (TOOD)."""
    positive: float = 0.5
    """Overlap from which the iou matcher makes an anchor answer for a box."""
    negative: float = 0.4
    """Overlap below which an anchor is background; between the two it counts for nothing."""
    class_loss: ClassLoss = "quality"
    """quality: focal on IoU targets, so that a score also says how well the box sits; focal; ohem:
    cross entropy with hard negatives 3:1 (SSD)."""
    box_loss: BoxLoss = "smooth-l1"
    """smooth-l1 on the offsets (SSD), or giou on the boxes."""
    box_weight: float = 1.0
    """Factor of the box loss."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run learns: the same settings and data give the same run."""

    data: Annotated[str, shown("CARD.yaml or FOLDER", "required")] = ""
    """A data card, a folder of labelled pictures, or one COCO json, CSV or CVAT XML."""
    backbone: str = "mobilenet_v2"
    """Which network; a wrong name lists them all."""
    width: float = 1.0
    """Width multiplier: 0.5 has half the channels in every layer."""
    head: HeadChoice = "own"
    """own: that of the weights, ssdlite where they have none; ssd: in full 3x3 convolutions."""
    size: Annotated[int, shown("PX", "the weights', or up to 512")] = 0
    """Side of the network's input in pixels, 96 to 640. By default that of the weights (300), or
    more where half of the objects would be smaller than 75 px there (a line says so)."""
    weights: str = "coco"
    """coco: the embedded ones; imagenet: the backbone's, downloaded; none: random; or a file:
    .safetensors, or best.ckpt of a run."""
    kin: bool = True
    """A class that the weights do not know starts from the one its pictures look like to them,
    else from the mean of all."""
    anchors: AnchorChoice = "auto"
    """own: those of the weights; fit: clustered from the training pictures' boxes; auto: fit where
    the weights' own meet few of them, as large objects at --size 512 (a line says how many)."""
    epochs: Annotated[float | None, shown("N")] = None
    """How often each picture is seen. Without it and --minutes: 640 x the root of their number
    pictures in all, so 9,000 for 200 pictures: six minutes on two good cores at 300 px."""
    minutes: Annotated[float | None, shown("N")] = None
    """Train so long by the clock instead."""
    batch: int = 16
    """Pictures a step, in each of the processes that train together."""
    sync_every: int = 1
    """With several processes: each goes its own way for so many steps, then their weights are
    averaged (local SGD). 1: gradients are averaged at every step, as if it were one big batch."""
    seed: int = 0
    """Another number, another order and other random views of the pictures."""
    precision: Precision = "auto"
    """bf16-mixed takes two thirds of the time on CPUs with AVX512_BF16 or AMX: auto asks."""
    bn: BatchNorms = "auto"
    """Batch norms' statistics: auto keeps those of the weights it starts from, below 500 pictures
    or 8 a batch, where new ones would be too noisy."""
    patience: int = 0
    """Stop after so many measurements (there are about ten a run) without a better AP; 0: never."""
    crops: float = 0.8
    """Chance of a random crop, among the pictures not zoomed out."""
    zoom: float = 0.2
    """Chance of a picture being zoomed out."""
    flips: Annotated[float | None, shown("CHANCE", "0.5, or 0")] = None
    """Chance of a picture being mirrored. By default 0.5, or 0 where class names tell left from
    right (a line says so); give 0 where classes do so without saying it: letters, arrows."""
    colours: float = 0.5
    """Chance of another brightness and contrast, and of another hue and saturation."""
    mosaic: float = 0.0
    """Chance of four pictures in one view instead, each a part of its own."""
    vote: float = VOTE
    """How much boxes that overlap the one kept pull it when the model runs: each with what it
    scores above half as much, times exp(-(1 - IoU)^2 / this), and its score falls as far as
    they disagree. 0: neither."""
    recipe: Annotated[Recipe, tyro.conf.arg(name="recipe"), tyro.conf.OmitArgPrefixes] = field(
        default_factory=Recipe
    )
    losses: Annotated[LossOptions, tyro.conf.arg(name="losses"), tyro.conf.OmitArgPrefixes] = field(
        default_factory=LossOptions
    )


@dataclass(frozen=True)
class Machine:
    """What a run is done with; it may change when a run is resumed."""

    workers: int = -1
    """Processes that prepare pictures; -1 for half the cores, at most 8."""
    devices: int = 1
    """Processes that train together on this machine, each on a batch and on its share of the cores.
    A run is resumed with as many as it began with."""
    num_nodes: int = 1
    """Machines that train together; torchrun starts the command on each and tells this number."""
    save_seconds: float = 60.0
    """How often last.ckpt is written, from which --resume goes on."""

    @property
    def world(self) -> int:
        """Processes that train together, on all machines."""
        return self.devices * self.num_nodes
