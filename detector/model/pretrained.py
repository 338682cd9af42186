"""Backbones as torchvision and timm trained them on ImageNet: `--weights imagenet`.

The libraries know where the files are; they are asked only when a user asks. What comes is checked
against the sha256 that its publisher names, and read without unpickling code.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from detector.errors import DetectorError
from detector.model.foreign import Published, fill
from detector.model.layers import Backbone
from detector.model.mobilenet_v4 import TIMM_NAME, timm
from detector.model.zoo import make_backbone


def _torchvision(name: str, version: str) -> Published:
    models = importlib.import_module("torchvision.models")
    model = models.get_model(name, weights=None)
    weights = models.get_model_weights(name)[version]
    seen = weights.transforms()
    return Published(model, tuple(seen.mean), tuple(seen.std), url=weights.url)


def _timm(name: str) -> Published:
    model = timm().create_model(name, pretrained=False)
    about = model.pretrained_cfg
    hub = about.get("hf_hub_id") or ""
    return Published(model, about["mean"], about["std"], "" if hub else about["url"], hub)


# Networks that are published, by our names. V3's are of the full tail; the reduced one is made from
# it by keeping the strongest channels.
PUBLISHED: dict[str, Callable[[], Published]] = {
    "mobilenet_v1": lambda: _timm("mobilenetv1_100.ra4_e3600_r224_in1k"),
    "mobilenet_v2": lambda: _torchvision("mobilenet_v2", "IMAGENET1K_V2"),
    "mobilenet_v3_large_full_tail": lambda: _torchvision("mobilenet_v3_large", "IMAGENET1K_V2"),
    "mobilenet_v3_small_full_tail": lambda: _torchvision("mobilenet_v3_small", "IMAGENET1K_V1"),
    "mobilenet_v4": lambda: _timm(f"{TIMM_NAME}.e2400_r224_in1k"),
    "xception": lambda: _timm("legacy_xception.tf_in1k"),
}


def imagenet_backbone(name: str) -> Backbone:
    """The backbone `name` at alpha 1 with ImageNet weights, for `transfer.copy_backbone`.

    For a V3 with a reduced tail it is the one with the full tail. Downloads the weights unless they
    are in torch's cache. Raises DetectorError for a backbone that nobody publishes, without network
    (it says which file to place where), and for a file that is damaged or another network's.
    """
    full = name if name in PUBLISHED else f"{name}_full_tail"
    if full not in PUBLISHED:
        names = sorted({*PUBLISHED, *(known.removesuffix("_full_tail") for known in PUBLISHED)})
        raise DetectorError(
            f"--weights imagenet: nobody publishes them for {name}; expected one of "
            f"{', '.join(names)}, or --weights none"
        )
    published = PUBLISHED[full]()
    backbone = make_backbone(full)
    fill(backbone, published, _read(_obtain(published)))
    return backbone


def _obtain(published: Published) -> Path:
    """The weights' file: from torch's cache, else downloaded; its sha256 checked."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / published.file_name
    try:
        if path.is_file():
            if published.url:  # the hub's names hold no digest to check by
                _check_sha256(path, _digest_in(path.name))
            return path
        if published.url:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(published.url, str(path), _digest_in(path.name))
            return path
        return _from_hub(published.hub, "model.safetensors")
    except (OSError, RuntimeError) as error:  # the hub's errors are of both kinds
        raise DetectorError(
            f"--weights imagenet: {published.file_name} could not be had "
            f"({type(error).__name__}: {str(error).splitlines()[0][:120]}); with a network try "
            f"again, without one get {published.url or published.hub + ': model.safetensors'} "
            f"elsewhere and place it at {path}"
        ) from error


def _from_hub(repository: str, file: str) -> Path:
    """A file of the Hugging Face hub, from its cache or downloaded; its sha256 checked."""
    hub = importlib.import_module("huggingface_hub")
    cached = Path(hub.hf_hub_download(repository, file))
    digest = cached.resolve().name  # the cache calls a large file by its sha256, given symlinks
    if not re.fullmatch("[0-9a-f]{64}", digest):
        digest = hub.get_hf_file_metadata(hub.hf_hub_url(repository, file)).etag
    _check_sha256(cached, digest)
    return cached


def _digest_in(file_name: str) -> str:
    """The first digits of the sha256 that torch's files have in their names, or ''."""
    found = re.search(r"-([0-9a-f]{8,64})\.", file_name)
    return found.group(1) if found else ""


def _check_sha256(path: Path, expected: str) -> None:
    """DetectorError unless the file's sha256 begins with `expected` (hexadecimal digits)."""
    if not re.fullmatch("[0-9a-f]{8,64}", expected):
        raise DetectorError(
            f"{path}: has no sha256 in its name to be checked against; get the file again"
        )
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if not digest.hexdigest().startswith(expected):
        raise DetectorError(
            f"{path}: its sha256 is {digest.hexdigest()[:16]}..., expected {expected[:16]}...; the "
            "file is damaged or another one: delete it and try again"
        )


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file. Nothing else is unpickled."""
    try:
        if path.suffix == ".pth":
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            return dict(loaded)
        return load_file(path)
    except (OSError, RuntimeError, SafetensorError, ValueError, TypeError) as error:
        raise DetectorError(f"{path}: not a whole weights file ({error}); get it again") from error
    except Exception as error:  # pickle raises its own kinds
        raise DetectorError(f"{path}: not a file of tensors ({error}); get it again") from error
