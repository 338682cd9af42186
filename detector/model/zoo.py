"""The backbones by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from detector.errors import DetectorError
from detector.model.layers import Backbone
from detector.model.mobilenet_v1 import MobileNetV1
from detector.model.mobilenet_v2 import MobileNetV2
from detector.model.mobilenet_v3 import MobileNetV3
from detector.model.mobilenet_v4 import MobileNetV4
from detector.model.xception import Xception

# From alpha to a network with random weights. V3 with its reduced tail is the paper's for
# detection; `_full_tail` is its classifier's, which ImageNet weights are published for.
BACKBONES: dict[str, Callable[[float], Backbone]] = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v1_shallow": partial(MobileNetV1, variant="shallow"),
    "mobilenet_v1_full": partial(MobileNetV1, variant="full"),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": partial(MobileNetV3, "large"),
    "mobilenet_v3_small": partial(MobileNetV3, "small"),
    "mobilenet_v3_large_full_tail": partial(MobileNetV3, "large", reduced_tail=False),
    "mobilenet_v3_small_full_tail": partial(MobileNetV3, "small", reduced_tail=False),
    "mobilenet_v4": MobileNetV4,
    "xception": Xception,
}


def make_backbone(name: str, alpha: float = 1.0) -> Backbone:
    """The backbone `name` at width `alpha`, with random weights.

    DetectorError for an unknown name, and for mobilenet_v4 without timm.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(BACKBONES)}"
        raise DetectorError(f"backbone {name!r} is unknown; {hint}")
    return BACKBONES[name](alpha)
