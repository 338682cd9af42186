"""Another library's weights into our backbones of the same layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from detector.errors import DetectorError
from detector.model.layers import BN_EPS

CLASSIFIER = ("classifier.", "fc.", "conv_head.", "norm_head.")
COUNT = "num_batches_tracked"


@dataclass(frozen=True)
class Published:
    """A library's network and where its weights are.

    network: with random weights. mean, std: of the RGB pixels in 0..1 it was trained on, by which
    it expects them normalised. url: of a .pth file with its sha256's first digits in its name, or
    hub: the name of a repository of the Hugging Face hub. What stands behind the features begins
    with one of `CLASSIFIER`.
    """

    network: nn.Module
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    url: str = ""
    hub: str = ""

    @property
    def file_name(self) -> str:
        """What the file is called when a user places it by hand."""
        if self.url:
            return Path(urlparse(self.url).path).name
        return f"{self.hub.rsplit('/', 1)[-1]}.safetensors"


@torch.no_grad()
def fill(backbone: nn.Module, published: Published, tensors: Mapping[str, Tensor]) -> None:
    """Put a library's weights into our backbone of the same layers, in eval mode the same function.

    Ours and theirs hold the same tensors in the same order; every name and shape is checked. Batch
    norms' gains absorb another epsilon, and the first layer the other normalisation of pixels (at
    the very border it differs: what is padded is grey here, and their mean colour there).
    DetectorError when a tensor is missing, left over or of another shape.
    """
    _copy_in_order(backbone, published.network, tensors)
    _adopt_epsilons(backbone, published.network)
    _adopt_normalisation(backbone, published)


def _copy_in_order(backbone: nn.Module, theirs: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensor by tensor; batches' counts, which older files lack, do not matter."""
    known = theirs.state_dict()
    if missing := [n for n in known if n not in tensors and not n.endswith(COUNT)]:
        raise DetectorError(f"ImageNet weights: {len(missing)} tensors are missing: {missing[0]}")
    if unknown := [n for n in tensors if n not in known]:
        raise DetectorError(f"ImageNet weights: {len(unknown)} tensors are unknown: {unknown[0]}")
    mine = {name: tensor for name, tensor in backbone.state_dict().items() if _is_feature(name)}
    others = [name for name in known if _is_feature(name)]
    if len(others) != len(mine):
        raise DetectorError(
            f"ImageNet weights: {len(others)} tensors before the classifier, expected {len(mine)}; "
            "this version of the library has another network: report it"
        )
    for (name, tensor), other in zip(mine.items(), others, strict=True):
        value = tensors[other]
        if value.shape != tensor.shape or name.split(".")[-1] != other.split(".")[-1]:
            raise DetectorError(
                f"ImageNet weights: {other} has shape {tuple(value.shape)}, expected that of "
                f"{name}, {tuple(tensor.shape)}"
            )
        tensor.copy_(value)


def _is_feature(name: str) -> bool:
    return not name.startswith(CLASSIFIER) and not name.endswith(COUNT)


def _adopt_epsilons(backbone: nn.Module, theirs: nn.Module) -> None:
    """Scale gains so that our epsilon gives what theirs did."""
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    others = [
        m
        for name, m in theirs.named_modules()
        if isinstance(m, nn.BatchNorm2d) and not f"{name}.".startswith(CLASSIFIER)
    ]
    for norm, other in zip(norms, others, strict=True):
        assert norm.running_var is not None
        norm.weight.mul_(((norm.running_var + BN_EPS) / (norm.running_var + other.eps)).sqrt())


def _adopt_normalisation(backbone: nn.Module, published: Published) -> None:
    """Let the first layer take pixels in -1..1 instead of (rgb - mean) / std of 0..1."""
    mean, std = torch.tensor(published.mean), torch.tensor(published.std)
    conv = next(m for m in backbone.modules() if isinstance(m, nn.Conv2d))
    norm = next(m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None
    # (x + 1) / 2 is in 0..1, so theirs is x * 0.5 / std + (0.5 - mean) / std.
    offset = (conv.weight.sum((2, 3)) * ((0.5 - mean) / std)).sum(1)
    conv.weight.mul_((0.5 / std)[:, None, None])
    norm.running_mean.sub_(offset)
