"""`detector analyze`: what every layer of a network costs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from detector.commands.options import Names, shown, split_names
from detector.errors import DetectorError
from detector.outfile import write_whole

if TYPE_CHECKING:
    from torch import nn

    from detector.evaluation.cost_text import Detail
    from detector.model.checkpoint import ModelCard
    from detector.model.cost_table import Network
    from detector.model.ssdlite import SSDLite

Widths = None | tuple[float, ...]
Sizes = None | tuple[int, ...]
HeadOrNone = Literal["ssdlite", "ssd", "none"]
BACKBONE, SIZE, CLASSES = "mobilenet_v2", 300, 80  # what is not said
SIZES = (32, 1024)
MAX_WIDTH, MAX_CLASSES = 4, 10_000
PLOTS = (".png", ".svg")
WEIGHTS_FILES = (".safetensors", ".ckpt")


@dataclass(frozen=True)
class Analyze:
    """What a network costs, layer by layer, and what each layer sees (needs the train extra).

    Several backbones, widths or sizes give a table with a row for each combination.
    """

    backbone: Annotated[Names, shown("NAME [NAME ...]", "mobilenet_v2; with --summary all")] = None
    """mobilenet_v1, mobilenet_v2, mobilenet_v3_large, xception, ..."""
    width: Annotated[Widths, shown("ALPHA [ALPHA ...]", "1.0")] = None
    """Width multiplier of all channels, at most 4."""
    size: Annotated[Sizes, shown("PIXELS [PIXELS ...]", "the model's own, 300")] = None
    """Side of the input, 32 to 1024."""
    head: HeadOrNone = "ssdlite"
    """What stands on the backbone; none for the backbone alone."""
    classes: Annotated[int | None, shown("NUMBER", "80")] = None
    """How many classes the head tells apart."""
    model: Annotated[str | None, shown("FILE")] = None
    """Instead of --backbone: a .safetensors file, best.ckpt of a run, or "coco"."""
    all: bool = False
    """Each layer instead of each block."""
    full: bool = False
    """Each depthwise separable layer beside the full convolution it stands for."""
    summary: bool = False
    """Only a row for each network, in Markdown."""
    plot: Annotated[Path | None, shown("FILE")] = None
    """Draw the cost of each block into a .png or .svg file."""
    json: Annotated[str | None, shown("FILE")] = None
    """Write every figure to a JSON file, or to standard output: "-"."""

    def run(self) -> int:
        """Prints tables; writes the files asked for."""
        self._check()
        from detector.evaluation import cost_text
        from detector.model.cost_table import as_json

        networks = list(self._networks())
        several = self._several()
        if self.plot is not None:
            from detector.evaluation.cost_plot import draw

            write_whole(self.plot, draw(networks[0], self.plot.suffix[1:].lower()), "--plot")
        if self.json is not None:
            described = [as_json(network) for network in networks]
            text = json.dumps(described if several else described[0], indent=1)
            if self.json == "-":
                print(text)
                return 0
            write_whole(Path(self.json), text.encode(), "--json")
        if several:
            print(cost_text.summary(networks))
        else:
            print(cost_text.report(networks[0], self._detail()))
        return 0

    def _several(self) -> bool:
        values = (split_names(self.backbone or ()), self.width, self.size)
        return self.summary or any(given and len(given) > 1 for given in values)

    def _detail(self) -> Detail:
        if self.full:
            return "full"
        return "layers" if self.all else "blocks"

    def _check(self) -> None:
        """Raise DetectorError for options that make no sense, before anything is loaded."""
        low, high = SIZES
        for side in self.size or ():
            if not low <= side <= high:
                raise DetectorError(f"--size {side}: expected {low} to {high} pixels")
        for width in self.width or ():
            if not (math.isfinite(width) and 0 < width <= MAX_WIDTH):
                raise DetectorError(f"--width {width}: expected above 0, at most {MAX_WIDTH}")
        if self._several() and (self.plot or self.all or self.full):
            raise DetectorError("--plot, --all and --full are of one network; name one only")
        if self.classes is not None and not 1 <= self.classes <= MAX_CLASSES:
            raise DetectorError(f"--classes {self.classes}: expected 1 to {MAX_CLASSES}")
        if self.plot is not None and self.plot.suffix.lower() not in PLOTS:
            raise DetectorError(f"--plot {self.plot}: expected a {' or '.join(PLOTS)} file")
        if self.model is not None:
            given = {
                **{"--backbone": self.backbone, "--width": self.width, "--classes": self.classes},
                **{"--head": None if self.head == "ssdlite" else self.head},
                "--summary": self.summary or None,
            }
            for option in (name for name, value in given.items() if value is not None):
                raise DetectorError(f"--model {self.model}: is what it is; leave out {option}")

    def _networks(self) -> Iterator[Network]:
        """Each network that is asked for, counted."""
        from detector.model.cost_table import count
        from detector.model.zoo import BACKBONES

        if self.model is not None:
            model, card = _read(self.model)
            for side in self.size or (card.input_size or model.anchors.native_size,):
                yield count(model, card.backbone, card.alpha, card.head, side)
            return
        names = split_names(self.backbone or ()) or (BACKBONES if self.summary else [BACKBONE])
        for name, width in product(names, self.width or (1.0,)):
            try:
                network = _build(name, width, self.head, self.classes or CLASSES)
            except DetectorError as error:  # of a package that is not installed
                if self.backbone:
                    raise
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            for side in self.size or (SIZE,):
                yield count(network, name, width, self.head, side)


def _build(backbone: str, width: float, head: HeadOrNone, classes: int) -> nn.Module:
    """A network without weights: only its shapes matter. DetectorError for an unknown backbone."""
    import torch

    from detector.model.ssdlite import SSDLite
    from detector.model.zoo import make_backbone

    with torch.device("meta"):
        maps = make_backbone(backbone, width)
        return maps if head == "none" else SSDLite(maps, classes, head=head)


def _read(model: str) -> tuple[SSDLite, ModelCard]:
    """The network in a file; DetectorError, too, for a kind of file that has none to take apart."""
    if model == "coco":
        from detector.predictor import WEIGHTS

        return _read(str(WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors"))
    path = Path(model)
    if path.suffix not in WEIGHTS_FILES:
        raise DetectorError(
            f"--model {model}: cannot be taken apart into layers; expected a .safetensors file or "
            "best.ckpt of a run, which leaves both beside its model.onnx"
        )
    from detector.training.start import load_network

    return load_network(path)
