"""The network a run starts from."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detector.data.loading import Pictures
from detector.errors import DetectorError
from detector.model import checkpoint
from detector.model.anchors import AnchorSpec, ssd_spec
from detector.model.checkpoint import ModelCard
from detector.model.ssdlite import SSDLite
from detector.training.anchors import choose_anchors
from detector.training.kin import closest_classes
from detector.training.options import Settings
from detector.training.transfer import PRIOR, copy_backbone, copy_weights

COCO = Path(__file__).parents[1] / "weights" / "ssdlite_mobilenet_v2_coco.safetensors"


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    fresh: modules that do not come whole from other weights. whole: whether the backbone does, so
    that its batch norms' statistics hold; not after channels were left out. kin: see `kin.py`.
    advice: a line on its anchors, or "".
    """

    model: SSDLite
    card: ModelCard
    fresh: list[nn.Module]
    whole: bool
    kin: dict[str, str] = field(default_factory=dict)
    advice: str = ""


def first_network(
    settings: Settings,
    class_names: tuple[str, ...],
    trained_on: str,
    pictures: Pictures | None,
) -> Start:
    """The network a run begins with.

    Random weights are drawn from torch's generator. pictures: to learn from, which show what new
    classes and their boxes look like; None to do without. Raises DetectorError for weights that are
    missing, damaged, or of another network.
    """
    card = ModelCard(
        class_names,
        alpha=settings.width,
        backbone=settings.backbone,
        trained_on=trained_on,
        input_size=settings.size,
    )
    if settings.weights in ("none", "imagenet"):
        spec, advice = _anchors(settings, ssd_spec(settings.size), pictures)
        card = replace(card, anchors=spec, head="ssd" if settings.head == "ssd" else "ssdlite")
        return _new_head(card, settings.weights == "imagenet", advice)
    source, theirs = _known(settings.weights)
    spec, advice = _anchors(settings, theirs.anchors, pictures)
    head = theirs.head if settings.head == "own" else settings.head
    card = replace(card, anchors=spec, head=head)
    model = checkpoint.build(card)
    kin: dict[str, str] = {}
    if pictures is not None and settings.kin:
        kin = closest_classes(source, theirs.class_names, class_names, pictures, settings.size)
    fresh = copy_weights(model, class_names, source, theirs.class_names, kin)
    whole = theirs.alpha == settings.width
    return Start(model, card, fresh, whole=whole, kin=kin, advice=advice)


def batch_norms(model: nn.Module, but: Iterable[nn.Module] = ()) -> list[nn.BatchNorm2d]:
    """The batch norms of `model`, those inside of `but` left out."""
    others = {module for part in but for module in part.modules()}
    norms = (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    return [norm for norm in norms if norm not in others]


def _anchors(
    settings: Settings, own: AnchorSpec | None, pictures: Pictures | None
) -> tuple[AnchorSpec | None, str]:
    """The run's anchors and a line on them. own: the weights', None for the COCO models'."""
    if pictures is None:
        return own, ""
    spec = own or ssd_spec()
    chosen, advice = choose_anchors(spec, pictures, settings.size, settings.anchors)
    return own if chosen is spec else chosen, advice


def _new_head(card: ModelCard, imagenet: bool, advice: str) -> Start:
    """A network with random weights, of which the backbone may be ImageNet's; it finds nothing."""
    model = checkpoint.build(card)
    for head in model.class_heads:
        predict = head.get_submodule("predict")
        assert isinstance(predict, nn.Conv2d)
        assert predict.bias is not None
        nn.init.constant_(predict.bias, -math.log((1 - PRIOR) / PRIOR))
    if not imagenet:
        return Start(model, card, [model], whole=False, advice=advice)
    from detector.model.pretrained import imagenet_backbone

    source = imagenet_backbone(card.backbone)
    fresh = copy_backbone(model, source)
    return Start(model, card, fresh, whole=source.alpha == card.alpha, advice=advice)


def native_size(weights: str) -> int:
    """The input size that `--weights` learned at. Raises DetectorError as `first_network` does."""
    if weights in ("none", "imagenet"):
        return ssd_spec().native_size
    model, card = _known(weights)
    return card.input_size or model.anchors.native_size


def _known(weights: str) -> tuple[SSDLite, ModelCard]:
    if weights == "coco":
        return checkpoint.load(COCO)
    if not Path(weights).is_file():
        raise DetectorError(
            f"--weights {weights}: no such file; expected coco, imagenet, none, a "
            ".safetensors file or best.ckpt of a run"
        )
    return load_network(Path(weights))


def load_network(path: Path) -> tuple[SSDLite, ModelCard]:
    """The network, in eval mode, and card of a .safetensors file or of a run's .ckpt."""
    if path.suffix == ".ckpt":
        return from_run(load_checkpoint(path), str(path))
    return checkpoint.load(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A run's .ckpt; DetectorError unless it is a whole one. Nothing but tensors is unpickled."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DetectorError(f"{path}: no such checkpoint") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's advice is how to run its code
            first = "torch cannot read it"
        raise DetectorError(
            f"{path}: not a whole checkpoint ({first}); expected best.ckpt or last.ckpt of a run"
        ) from error
    if not (isinstance(loaded, dict) and {"card", "state_dict"} <= set(loaded)):
        raise DetectorError(f"{path}: not a checkpoint of ours; expected best.ckpt of a run")
    return loaded


def from_run(loaded: Mapping[str, Any], where: str) -> tuple[SSDLite, ModelCard]:
    """The averaged network in a run's checkpoint, in eval mode, and its card."""
    card = card_from(loaded["card"])
    model = checkpoint.build(card)
    tensors = {
        name.removeprefix("model."): tensor
        for name, tensor in loaded["state_dict"].items()
        if name.startswith("model.")
    }
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DetectorError(f"{where}: its weights do not fit its card; train again") from error
    return model.eval(), card


def start_fields(start: Start) -> dict[str, Any]:
    """What `resumed_network` needs of a beginning but the weights, as plain values."""
    fresh = [
        name for name, one in start.model.named_modules() if any(one is f for f in start.fresh)
    ]
    return {"card": asdict(start.card), "fresh": fresh, "whole": start.whole}


def resumed_network(fields: Mapping[str, Any]) -> Start:
    """The network of `start_fields`, with random weights: those of the checkpoint come next.

    So a run goes on without the file that it once began with.
    """
    card = card_from(fields["card"])
    model = checkpoint.build(card)
    fresh = [model.get_submodule(name) for name in fields["fresh"]]
    return Start(model, card, fresh, whole=fields["whole"])


def card_from(fields: Mapping[str, Any]) -> ModelCard:
    """The card of a checkpoint."""
    anchors = fields["anchors"]
    spec = None
    if anchors is not None:
        shapes = tuple(tuple((w, h) for w, h in cells) for cells in anchors["shapes_wh"])
        spec = AnchorSpec(anchors["native_size"], shapes, anchors["first_stride"])
    names = tuple(fields["class_names"])
    return ModelCard(**{**fields, "class_names": names, "anchors": spec})
