"""Every backbone: its maps, at any size and width, under either head."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from detector.errors import DetectorError
from detector.model import mobilenet_v4
from detector.model.anchors import anchors_cxcywh
from detector.model.checkpoint import ModelCard, build
from detector.model.layers import SameConv2d
from detector.model.ssdlite import HEADS, SSDLite
from detector.model.zoo import BACKBONES, make_backbone

NO_TIMM = importlib.util.find_spec("timm") is None
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(NO_TIMM, reason="timm is not installed"))
    if name == "mobilenet_v4"
    else name
    for name in BACKBONES
]
# Channels of the two maps at alpha 1: what the papers' tables have at strides 16 and 32.
MAPS = {
    "mobilenet_v1": (512, 1024),
    "mobilenet_v1_shallow": (512, 1024),
    "mobilenet_v1_full": (512, 1024),
    "mobilenet_v2": (576, 1280),
    "mobilenet_v3_large": (672, 480),
    "mobilenet_v3_small": (288, 288),
    "mobilenet_v3_large_full_tail": (672, 960),
    "mobilenet_v3_small_full_tail": (288, 576),
    "mobilenet_v4": (576, 960),
    "xception": (1024, 2048),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_the_papers(name: str) -> None:
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        assert make_backbone(name).out_channels == MAPS[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size_hw", [(96, 97), (160, 301)])
def test_strides_at_any_size(name: str, size_hw: tuple[int, int]) -> None:
    model = make_backbone(name, 0.25).eval()
    with torch.no_grad():
        maps = model(torch.zeros(1, 3, *size_hw))
    for x, channels, stride in zip(maps, model.out_channels, (16, 32), strict=True):
        assert x.shape == (1, channels, *(-(-side // stride) for side in size_hw))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", NAMES)
def test_one_row_per_anchor(name: str, head: str) -> None:
    model = build(ModelCard(("a", "b", "c"), 0.25, name, head=head)).eval()
    for side in (96, 97, 160, 301, 640):
        with torch.no_grad():
            logits, offsets = model(torch.zeros(1, 3, side, side))
        rows = len(anchors_cxcywh(model.anchors, (side, side)))
        assert logits.shape == (1, rows, 3)
        assert offsets.shape == (1, rows, 4)


@pytest.mark.parametrize("alpha", [0.25, 0.75])
@pytest.mark.parametrize("name", NAMES)
def test_width_scales_every_layer_and_no_shortcut_appears(name: str, alpha: float) -> None:
    """A narrow net is the wide one with channels removed: the same modules, none wider."""
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        wide, narrow = make_backbone(name), make_backbone(name, alpha)
    residual = {n: getattr(m, "residual", None) for n, m in wide.named_modules()}
    assert residual == {n: getattr(m, "residual", None) for n, m in narrow.named_modules()}
    for (n, a), (m, b) in zip(wide.named_modules(), narrow.named_modules(), strict=True):
        assert (n, type(a)) == (m, type(b))
        if isinstance(a, nn.Conv2d):
            assert b.out_channels % 8 == 0
            assert (b.kernel_size, b.stride) == (a.kernel_size, a.stride)
            # Eight is the least there is, and squeezes of a quarter round twice; V2 expands sixfold
            # what it has rounded.
            bound = 48 if name == "mobilenet_v2" else 12
            assert abs(b.out_channels - alpha * a.out_channels) <= bound


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_trained(name: str, head: str) -> None:
    torch.manual_seed(0)
    model = build(ModelCard(("a", "b"), 0.25, name, head=head)).train()
    logits, offsets = model(torch.randn(2, 3, 96, 96))
    (logits.square().sum() + offsets.square().sum()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_all_layers_pad_by_the_one_rule(name: str) -> None:
    """Anchors stand where this padding puts the receptive fields."""
    with torch.device("meta"):
        layers = list(make_backbone(name, 0.25).modules())
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            assert isinstance(layer, SameConv2d)
        assert not isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)


def test_extra_maps_follow_the_width() -> None:
    with torch.device("meta"):
        extras = build(ModelCard(("a",), 0.25)).extras
    channels = [extra.expand.conv.out_channels for extra in extras]
    assert channels == [128, 64, 64, 32]


def test_the_two_heads_share_their_backbone_and_number_of_maps() -> None:
    with torch.device("meta"):
        lite, plain = (SSDLite(make_backbone("mobilenet_v2", 0.25), 2, head=h) for h in HEADS)
    assert len(lite.extras) == len(plain.extras) == 4
    assert not any(m.groups > 1 for m in plain.extras.modules() if isinstance(m, nn.Conv2d))
    assert any(m.groups > 1 for m in lite.extras.modules() if isinstance(m, nn.Conv2d))


def test_unknown_backbone() -> None:
    with pytest.raises(DetectorError, match="'vgg' is unknown; expected one of mobilenet_v1,"):
        make_backbone("vgg")


def test_without_timm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(mobilenet_v4.importlib, "import_module", fail)
    with pytest.raises(DetectorError, match=r"needs timm.*pip install 'mobilenet-ssd\[v4\]'"):
        make_backbone("mobilenet_v4")
