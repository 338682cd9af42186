"""Starting from other weights: other classes, anchors, heads, and fewer channels."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detector.errors import DetectorError
from detector.model.anchors import AnchorSpec, ssd_spec
from detector.model.checkpoint import ModelCard, build, images_to_input, load
from detector.model.ssdlite import SSDLite
from detector.model.zoo import BACKBONES, make_backbone
from detector.predictor import COCO_FLOAT
from detector.preprocess import to_batch
from detector.training.channels import channel_spaces, importance, strongest
from detector.training.transfer import PRIOR, copy_backbone, copy_weights

NAMES = ("person", "cat", "orange")


def made(names: tuple[str, ...] = NAMES, alpha: float = 0.25, **fields: object) -> SSDLite:
    """A network whose batch norms all have gains and statistics of their own."""
    model = build(ModelCard(names, alpha, **fields)).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model


def outputs(model: SSDLite) -> tuple[Tensor, Tensor]:
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, offsets = model.eval()(picture)
    return logits, offsets


# The heads take the maps of any backbone alike: every backbone once, and every head.
CASES = [(name, "ssdlite") for name in BACKBONES if name != "mobilenet_v4"]
CASES += [("mobilenet_v2", "ssd"), ("mobilenet_v3_small", "ssd")]


@pytest.mark.parametrize(("backbone", "head"), CASES)
def test_the_same_network_computes_the_same(backbone: str, head: str) -> None:
    """Keeping as many channels as there are is keeping all, in their order."""
    torch.manual_seed(0)
    source = made(backbone=backbone, head=head)
    model = made(backbone=backbone, head=head)
    assert copy_weights(model, NAMES, source, NAMES) == []
    for mine, theirs in zip(outputs(model), outputs(source), strict=True):
        assert torch.equal(mine, theirs)


def test_shared_classes_keep_their_rows() -> None:
    source, model = made(), made(("mango", "orange", "person", "leaf"))
    fresh = copy_weights(model, ("mango", "orange", "person", "leaf"), source, NAMES)
    assert fresh == [head.predict for head in model.class_heads]
    theirs, mine = outputs(source)[0], outputs(model)[0]
    torch.testing.assert_close(mine[..., 1], theirs[..., 2])
    torch.testing.assert_close(mine[..., 2], theirs[..., 0])
    assert torch.equal(outputs(model)[1], outputs(source)[1])
    # A new class: the mean of the rows, and a bias of its own instead of theirs.
    torch.testing.assert_close(mine[..., 0], mine[..., 3])
    first = source.class_heads[0].predict.bias.view(-1, 3).mean(1).repeat(36)
    prior = -math.log((1 - PRIOR) / PRIOR)
    torch.testing.assert_close(mine[0, :108, 0], theirs[0, :108].mean(-1) - first + prior)


def test_kin_lend_their_rows() -> None:
    source, model = made(), made(("kitten", "mango", "person"))
    fresh = copy_weights(model, ("kitten", "mango", "person"), source, NAMES, {"kitten": "cat"})
    assert fresh == [head.predict for head in model.class_heads]  # to be learned all the same
    theirs, mine = outputs(source)[0], outputs(model)[0]
    torch.testing.assert_close(mine[..., 0], theirs[..., 1])
    torch.testing.assert_close(mine[..., 2], theirs[..., 0])
    copy_weights(model, ("kitten", "mango", "person"), source, NAMES)
    torch.testing.assert_close(outputs(model)[0][..., 1], mine[..., 1])


def test_no_class_in_common_starts_low() -> None:
    source, model = made(), made(("ripe", "rotten"))
    for head in source.class_heads:
        nn.init.zeros_(head.predict.weight)
    copy_weights(model, ("ripe", "rotten"), source, NAMES)
    torch.testing.assert_close(outputs(model)[0].sigmoid(), torch.full((1, 204, 2), PRIOR))


def test_other_anchors_start_from_the_mean() -> None:
    shapes = (((0.1, 0.1),) * 2, *ssd_spec().shapes_wh[1:])
    source = made()
    model = made(anchors=AnchorSpec(300, shapes))
    fresh = copy_weights(model, NAMES, source, NAMES)
    assert fresh == [model.box_heads[0].predict, model.class_heads[0].predict]
    theirs, mine = outputs(source), outputs(model)
    for a, b in zip(theirs, mine, strict=True):
        old, new = a[0, :108].reshape(36, 3, -1), b[0, :72].reshape(36, 2, -1)
        torch.testing.assert_close(new, old.mean(1, keepdim=True).expand_as(new))
        assert torch.equal(a[0, 108:], b[0, 72:])


def test_another_head_is_all_fresh_and_the_backbone_is_not() -> None:
    source, model = made(), made(head="ssd")
    before = copy.deepcopy(model.class_heads.state_dict())
    fresh = copy_weights(model, NAMES, source, NAMES)
    assert fresh == [model.extras, model.class_heads, model.box_heads]
    after = model.class_heads.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for mine, theirs in zip(model.backbone(picture), source.backbone(picture), strict=True):
            assert torch.equal(mine, theirs)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(DetectorError, match="of a MobileNetV2 do not fit this MobileNetV1"):
        copy_weights(made(backbone="mobilenet_v1"), NAMES, made(), NAMES)
    shallow, deep = made(backbone="mobilenet_v1_shallow"), made(backbone="mobilenet_v1")
    with pytest.raises(DetectorError, match="other layers"):
        copy_weights(shallow, NAMES, deep, NAMES)


def test_channels_cannot_be_made() -> None:
    with pytest.raises(DetectorError, match="can be left out but not made: lower --width"):
        copy_weights(made(alpha=0.5), NAMES, made(alpha=0.25), NAMES)


@pytest.mark.parametrize(("backbone", "head"), CASES)
def test_a_narrow_net_is_the_wide_one_without_channels(backbone: str, head: str) -> None:
    """Silence in the wide net what the narrow one lacks, and both compute the same.

    With biases of zero and statistics of (0, 1), a channel whose gain is zero is silent; those are
    also the weakest, so they are the ones that go.
    """
    torch.manual_seed(0)
    wide = build(ModelCard(NAMES, 0.5, backbone, head=head)).eval()
    narrow = build(ModelCard(NAMES, 0.25, backbone, head=head)).eval()
    spaces = channel_spaces(wide)
    sizes = {
        spaces[name].writes: len(layer.weight)
        for name, layer in narrow.named_modules()
        if name in spaces and not name.endswith(".predict")
    }
    kept = {
        space: strongest(scores, sizes[space])
        for space, scores in importance(wide, spaces).items()
        if space in sizes
    }
    for name, ends in spaces.items():
        layer = wide.get_submodule(name)
        if isinstance(layer, nn.BatchNorm2d):
            silent = torch.ones(len(layer.weight), dtype=torch.bool)
            silent[kept[ends.writes]] = False
            layer.weight.data[silent] = 0
        elif "excite" in name or "squeeze.squeeze" in name:
            nn.init.zeros_(layer.bias)
    silence_squeezes(wide, spaces, kept)
    assert copy_weights(narrow, NAMES, wide, NAMES) == []
    for mine, theirs in zip(outputs(narrow), outputs(wide), strict=True):
        assert theirs.std() > 0
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)


def silence_squeezes(model: nn.Module, spaces: dict[str, object], kept: dict[int, Tensor]) -> None:
    """The same for channels without batch norm: those inside squeeze-and-excite."""
    for name, ends in spaces.items():
        if name.endswith("squeeze.squeeze"):
            layer = model.get_submodule(name)
            silent = torch.ones(len(layer.weight), dtype=torch.bool)
            silent[kept[ends.writes]] = False
            layer.weight.data[silent] = 0


def test_the_parts_of_a_residual_stage_are_one_space() -> None:
    spaces = channel_spaces(made(backbone="mobilenet_v3_large"))
    block = "backbone.blocks.14"
    assert spaces[f"{block}.project.bn"].writes == spaces["backbone.blocks.13.project.conv"].writes
    wide = spaces[f"{block}.expand.conv"].writes
    for part in ("depthwise.conv", "depthwise.bn", "squeeze.excite"):
        assert spaces[f"{block}.{part}"].writes == wide
    assert spaces[f"{block}.squeeze.squeeze"].writes != wide
    assert spaces[f"{block}.project.conv"].reads == wide
    assert spaces["backbone.blocks.12.project.conv"].writes == spaces[f"{block}.expand.conv"].reads
    assert spaces["backbone.blocks.11.project.conv"].writes != spaces[f"{block}.expand.conv"].reads


def test_backbone_alone_and_the_reduced_tail() -> None:
    model = made(backbone="mobilenet_v3_small", alpha=1.0)
    full = make_backbone("mobilenet_v3_small_full_tail").eval()
    fresh = copy_backbone(model, full)
    assert fresh == [model.extras, model.class_heads, model.box_heads]
    picture = torch.rand(1, 3, 96, 96)
    with torch.no_grad():  # up to C4 the two are equal
        torch.testing.assert_close(model.backbone(picture)[0], full(picture)[0])


def correlation(a: Tensor, b: Tensor) -> float:
    """Mean over channels of the correlation of two maps (N, C, H, W)."""
    a, b = (x.transpose(0, 1).flatten(1) for x in (a, b))
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    norm = (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)
    return float(((a * b).sum(1) / norm).mean())


@pytest.mark.slow
def test_the_strongest_channels_keep_more_of_coco_than_random_ones() -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    wide, card = load(COCO_FLOAT.with_suffix(".safetensors"))
    frames = [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee")]
    rgb = np.concatenate([to_batch(frame, (300, 300)) for frame in frames])
    pictures = images_to_input(torch.from_numpy(rgb).permute(0, 3, 1, 2))
    torch.manual_seed(0)
    narrow = build(ModelCard(card.class_names, 0.75)).eval()
    spaces = channel_spaces(wide)
    tap = f"backbone.blocks.{wide.backbone.tap}.expand.conv"
    rows = strongest(importance(wide, spaces)[spaces[tap].writes], narrow.backbone.out_channels[0])
    with torch.no_grad():
        wanted = wide.backbone(pictures)[0][:, rows]
        random = correlation(narrow.backbone(pictures)[0], wanted)
        copy_weights(narrow, card.class_names, wide, card.class_names)
        kept = correlation(narrow.eval().backbone(pictures)[0], wanted)
    assert abs(random) < 0.05
    assert kept > 0.1  # 0.17 when this was written; 0.02 with channels drawn by lot
