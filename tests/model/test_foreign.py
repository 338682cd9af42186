"""Weights of torchvision and timm in our backbones: the same features as their own networks give.

There is no network in tests, so theirs have random weights, with batch norms that have seen blobs.
They pad alike on both sides, which is SAME padding at odd sides: 97 -> 49 -> 25 -> 13 -> 7 -> 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from detector.errors import DetectorError
from detector.model.foreign import Published, fill
from detector.model.pretrained import PUBLISHED
from detector.model.zoo import make_backbone

SIDE = 97
# The layers of theirs whose outputs we hand on as maps.
MAPS: dict[str, Callable[[nn.Module], tuple[nn.Module, nn.Module]]] = {
    "mobilenet_v1": lambda m: (m.blocks[3][-1], m.blocks[-1][-1]),
    "mobilenet_v2": lambda m: (m.features[14].conv[0], m.features[18]),
    "mobilenet_v3_large_full_tail": lambda m: (m.features[13].block[0], m.features[-1]),
    "mobilenet_v3_small_full_tail": lambda m: (m.features[9].block[0], m.features[-1]),
    "mobilenet_v4": lambda m: (m.blocks[3][0].pw_exp, m.blocks[4][0]),
    "xception": lambda m: (m.block12.rep[-2], m.act4),
}
TIMM = ("mobilenet_v1", "mobilenet_v4", "xception")


def blobs(count: int) -> Tensor:
    """Soft random pictures (N, 3, SIDE, SIDE) in -1..1."""
    noise = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(count))
    return nn.functional.interpolate(noise, SIDE, mode="bilinear") * 2 - 1


@pytest.fixture(scope="module", params=list(MAPS))
def published(request: pytest.FixtureRequest) -> tuple[str, Published]:
    """A library's network whose batch norms have gains and statistics of their own.

    Do not change it.
    """
    if request.param in TIMM:
        pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    found = PUBLISHED[request.param]()
    norms = [m for m in found.network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
    if request.param == "xception":  # its first layers do not pad; ours do
        found.network.conv1.padding = found.network.conv2.padding = (1, 1)
    with torch.no_grad():
        found.network.train()(blobs(4))
    found.network.eval()
    return request.param, found


def test_our_backbone_computes_what_theirs_does(published: tuple[str, Published]) -> None:
    name, found = published
    as_ours = replace(found, mean=(0.5,) * 3, std=(0.5,) * 3)
    backbone = make_backbone(name).eval()
    fill(backbone, as_ours, found.network.state_dict())
    seen: list[Tensor] = []
    for layer in MAPS[name](found.network):
        layer.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    pictures = blobs(2)
    with torch.no_grad():
        found.network(pictures)
        ours = backbone(pictures)
    assert len(seen) == 2
    for mine, theirs in zip(ours, seen, strict=True):
        assert theirs.std() > 0.1  # there is something to agree on
        torch.testing.assert_close(mine, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=0)


def test_pixels_are_normalised_as_they_were(published: tuple[str, Published]) -> None:
    """Behind the first layer, away from the border, where padding is grey and not their mean."""
    name, found = published
    found = replace(found, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    backbone = make_backbone(name).eval()
    fill(backbone, found, found.network.state_dict())
    pictures = blobs(2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (found.mean, found.std))
    seen: list[Tensor] = []
    first = next(m for m in found.network.modules() if isinstance(m, nn.BatchNorm2d))
    first.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    act = backbone.stem.act
    with torch.no_grad():
        found.network(((pictures + 1) / 2 - mean) / std)
        mine = backbone.stem.bn(backbone.stem.conv(pictures))
        # timm's batch norm holds its activation.
        mine, theirs = act(mine)[..., 1:-1, 1:-1], act(seen[0])[..., 1:-1, 1:-1]
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def small() -> tuple[nn.Module, Published]:
    def layers() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))

    return layers(), Published(layers(), (0.5,) * 3, (0.5,) * 3, url="x")


def test_what_does_not_fit_is_named() -> None:
    mine, found = small()
    good = found.network.state_dict()
    fill(mine, found, good)
    with pytest.raises(DetectorError, match=r"1 tensors are missing: 1\.bias"):
        fill(mine, found, {k: v for k, v in good.items() if k != "1.bias"})
    with pytest.raises(DetectorError, match="1 tensors are unknown: spare"):
        fill(mine, found, {**good, "spare": torch.zeros(1)})
    shape = r"0\.weight has shape \(8, 3, 1, 1\), expected that of 0\.weight, \(8, 3, 3, 3\)"
    with pytest.raises(DetectorError, match=shape):
        fill(mine, found, {**good, "0.weight": torch.zeros(8, 3, 1, 1)})
    with pytest.raises(DetectorError, match="5 tensors before the classifier, expected 9"):
        fill(nn.Sequential(mine, nn.BatchNorm2d(8)), found, good)


def test_counts_of_batches_may_be_missing() -> None:
    mine, found = small()
    older = {k: v for k, v in found.network.state_dict().items() if "num_batches" not in k}
    fill(mine, found, older)
    assert torch.equal(mine[0].weight, found.network[0].weight)
