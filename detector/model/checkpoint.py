"""Weights on disk: a safetensors file that says which network it belongs to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from detector.errors import DetectorError
from detector.model.ssdlite import SSDLite, ssdlite_mobilenet_v2


@dataclass(frozen=True)
class ModelCard:
    """What a weights file says of itself, and what an exported model file carries on.

    class_names: K names, in label order. alpha: width multiplier. trained_on: the data, in words.
    licence: of the weights. source: where they come from.
    """

    class_names: tuple[str, ...]
    alpha: float = 1.0
    backbone: str = "mobilenet_v2"
    trained_on: str = ""
    licence: str = ""
    source: str = ""


def build(card: ModelCard) -> SSDLite:
    """The network a card describes, with random weights."""
    if card.backbone != "mobilenet_v2":
        raise DetectorError(f"backbone {card.backbone!r} is unknown; expected mobilenet_v2")
    return ssdlite_mobilenet_v2(len(card.class_names), card.alpha)


def save(path: Path, model: SSDLite, card: ModelCard) -> None:
    """Write `model` to a .safetensors file, convolutions in float16 and batch norms in float32.

    Batch norms stay float32 because their statistics span more than float16 holds; they are 2 % of
    the file.
    """
    tensors = {
        name: (tensor.half() if tensor.dim() > 1 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    part = path.with_name(path.name + ".part")
    try:
        save_file(tensors, part, metadata={"card": json.dumps(asdict(card))})
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise DetectorError(f"{path}: cannot be written ({error}); name a writable place") from error


def load(path: str | os.PathLike[str]) -> tuple[SSDLite, ModelCard]:
    """The network in eval mode (float32) and its card. Nothing is unpickled.

    Raises DetectorError for a missing, foreign or truncated file and for tensors that do not fit.
    """
    if not Path(path).is_file():
        raise DetectorError(f"{path}: no such weights file; expected a .safetensors file")
    try:
        with safe_open(path, "pt") as file:
            fields = json.loads((file.metadata() or {})["card"])
            fields["class_names"] = tuple(fields["class_names"])
            card = ModelCard(**fields)
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{path}: not a weights file of ours ({error}); expected a .safetensors file "
            "with a 'card' in its metadata, as `detector import-tf` writes"
        ) from error
    model = build(card)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise DetectorError(
            f"{path}: does not fit {card.backbone} x{card.alpha}: "
            f"missing {missing[:3]}, unknown {unexpected[:3]}"
        )
    return model.eval(), card


def images_to_input(images_rgb: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) RGB in 0..255 -> what the network sees, -1..1."""
    return images_rgb.float() * (2 / 255) - 1
