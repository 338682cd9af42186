"""Weights on disk: a safetensors file that says which network it belongs to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from detector.errors import DetectorError
from detector.metadata import MAX_TOP_K, TOP_K, VOTE
from detector.model.anchors import AnchorSpec
from detector.model.ssdlite import HEADS, Head, SSDLite
from detector.model.zoo import make_backbone
from detector.outfile import write_whole


@dataclass(frozen=True)
class ModelCard:
    """What a weights file says of itself, and what an exported model file carries on.

    class_names: K names, in label order. alpha: width multiplier. backbone: a name of
    `zoo.BACKBONES`. trained_on: the data, in words. licence: of the weights. source: where they
    come from. head: "ssdlite" or "ssd". anchors: None for the COCO models'. input_size: side in
    pixels to run at when the user names none; 0 for the anchors' native size. top_k: detections to
    show of a picture, at most. vote: see `detector.detections.Limits`.
    """

    class_names: tuple[str, ...]
    alpha: float = 1.0
    backbone: str = "mobilenet_v2"
    trained_on: str = ""
    licence: str = ""
    source: str = ""
    head: Head = "ssdlite"
    anchors: AnchorSpec | None = None
    input_size: int = 0
    top_k: int = TOP_K
    vote: float = VOTE


# Fields that came after the first weights files: written only where they say something.
_LATER = ("head", "anchors", "input_size", "top_k", "vote")


def build(card: ModelCard) -> SSDLite:
    """The network a card describes, with random weights.

    DetectorError for an unknown backbone, and for mobilenet_v4 without timm.
    """
    backbone = make_backbone(card.backbone, card.alpha)
    return SSDLite(backbone, len(card.class_names), card.anchors, card.head)


def save(path: Path, model: SSDLite, card: ModelCard) -> None:
    """Write `model` to a .safetensors file, convolutions in float16 and batch norms in float32.

    Batch norms stay float32 because their statistics span more than float16 holds; they are 2 % of
    the file. DetectorError, and no file, when `path` cannot be written.
    """
    tensors = {
        name: (tensor.half() if tensor.dim() > 1 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    said = asdict(card).items()
    fields = {k: v for k, v in said if k not in _LATER or v != getattr(ModelCard, k)}
    card_json = json.dumps(fields, ensure_ascii=False)
    write_whole(path, to_bytes(tensors, metadata={"card": card_json}), "--out")


def load(path: str | os.PathLike[str]) -> tuple[SSDLite, ModelCard]:
    """The network in eval mode (float32) and its card. Nothing is unpickled.

    Raises DetectorError for a missing, foreign or truncated file and for tensors that do not fit.
    """
    if not Path(path).is_file():
        raise DetectorError(f"{path}: no such weights file; expected a .safetensors file")
    try:
        with safe_open(path, "pt") as file:
            card = _parse_card((file.metadata() or {}).get("card"))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise DetectorError(
            f"{path}: not a whole weights file of ours ({error}); expected a .safetensors file "
            "with a card in its metadata, as `detector import-tf` writes"
        ) from error
    try:
        model = build(card)
    except DetectorError as error:
        raise DetectorError(f"{path}: {error}") from error
    if problem := _misfit(tensors, model.state_dict()):
        raise DetectorError(
            f"{path}: does not fit the network its card describes ({card.backbone}, width "
            f"{card.alpha}, {len(card.class_names)} classes): {problem}; save it again"
        )
    model.load_state_dict(tensors, strict=False)  # only num_batches_tracked is missing
    return model.eval(), card


def _parse_card(text: str | None) -> ModelCard:
    """The card in a file's metadata; ValueError or TypeError unless it is a whole one."""
    if text is None:
        raise ValueError("it has no card")
    fields = json.loads(text)
    names = fields["class_names"] if isinstance(fields, dict) and "class_names" in fields else None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise ValueError("its card has no list of class names")
    anchors = _parse_anchors(fields["anchors"]) if fields.get("anchors") else None
    card = ModelCard(**{**fields, "class_names": tuple(names), "anchors": anchors})
    if not (isinstance(card.alpha, (int, float)) and 0 < card.alpha <= 4):
        raise ValueError(f"its card has width {card.alpha!r}")
    if card.head not in HEADS:
        raise ValueError(f"its card has head {card.head!r}, expected {' or '.join(HEADS)}")
    if not (isinstance(card.input_size, int) and 0 <= card.input_size <= 4096):
        raise ValueError(f"its card has input size {card.input_size!r}")
    if not (isinstance(card.top_k, int) and 1 <= card.top_k <= MAX_TOP_K):
        raise ValueError(f"its card has top_k {card.top_k!r}")
    if not (isinstance(card.vote, (int, float)) and 0 <= card.vote <= 1):
        raise ValueError(f"its card has vote {card.vote!r}")
    return card


def _parse_anchors(fields: object) -> AnchorSpec:
    """Anchors as `asdict` wrote them; ValueError or TypeError unless they are whole."""
    if not isinstance(fields, dict):
        raise ValueError("its card's anchors are no table")
    shapes = tuple(
        tuple((float(w), float(h)) for w, h in of_map) for of_map in fields.get("shapes_wh", ())
    )
    spec = AnchorSpec(**{**fields, "shapes_wh": shapes})
    sides = [side for of_map in shapes for shape in of_map for side in shape]
    if len(shapes) != 6 or not all(shapes) or not all(0 < side < 100 for side in sides):
        raise ValueError("its card's anchors are not positive shapes for six maps")
    if not (isinstance(spec.native_size, int) and 0 < spec.native_size <= 4096):
        raise ValueError(f"its card's anchors have native size {spec.native_size!r}")
    if spec.first_stride != 16:
        raise ValueError(f"its card's anchors have first stride {spec.first_stride!r}, expected 16")
    return spec


def _misfit(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> str:
    """What keeps the tensors `found` from being those of a network, in a few words, or ''."""
    names = {name for name in wanted if not name.endswith("num_batches_tracked")}
    if missing := sorted(names - set(found)):
        return f"{len(missing)} tensors are missing, such as {missing[0]}"
    if unknown := sorted(set(found) - names):
        return f"{len(unknown)} tensors are unknown, such as {unknown[0]}"
    for name in sorted(names):
        have, want = tuple(found[name].shape), tuple(wanted[name].shape)
        if have != want:
            return f"{name} has shape {have}, expected {want}"
    return ""


def images_to_input(images_rgb: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) RGB in 0..255 -> what the network sees, -1..1."""
    return images_rgb.float() * (2 / 255) - 1
