"""Batch norms given real statistics: the same function in eval mode, nearly so in training."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from detector.errors import DetectorError
from detector.export.import_tf import unfold_batch_norms
from detector.images import read_image
from detector.model.checkpoint import ModelCard, build, images_to_input
from detector.model.layers import BN_EPS
from detector.model.ssdlite import SSDLite
from detector.preprocess import to_batch

TRAIN = Path(__file__).parents[2].parent / "shared" / "data" / "coco-train-337" / "images"

needs_train = pytest.mark.skipif(not TRAIN.is_dir(), reason="../shared/data/coco-train-337 absent")


def pictures(start: int, stop: int) -> torch.Tensor:
    """Network inputs (N, 3, 300, 300) of some pictures of coco-train-337."""
    paths = sorted(TRAIN.glob("*.jpg"))[start:stop]
    bgr = np.concatenate([to_batch(read_image(str(path)), (300, 300)) for path in paths])
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    return images_to_input(torch.from_numpy(rgb).permute(0, 3, 1, 2))


@pytest.mark.slow
@needs_train
def test_unfolding_changes_nothing_in_eval_mode(folded: SSDLite) -> None:
    model = copy.deepcopy(folded)
    unfold_batch_norms(model, [pictures(0, 6), pictures(6, 10)])
    others = pictures(100, 104)
    with torch.no_grad():
        before, after = folded(others), model(others)
    for ours, theirs in zip(before, after, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.slow
@needs_train
def test_unfolded_statistics_are_the_pictures(folded: SSDLite) -> None:
    """Measured in two batches of unequal size, they are those of all the pictures at once."""
    model = copy.deepcopy(folded)
    unfold_batch_norms(model, [pictures(0, 3), pictures(3, 4)])
    outputs: dict[nn.Module, torch.Tensor] = {}
    layers = [model.backbone.stem, model.backbone.blocks[7].depthwise, model.backbone.last]
    for layer in layers:
        layer.conv.register_forward_hook(lambda conv, _, y: outputs.update({conv: y.double()}))
    with torch.no_grad():
        model(pictures(0, 4))
    for layer in layers:
        y = outputs[layer.conv]
        var = y.var((0, 2, 3), correction=0)
        torch.testing.assert_close(
            layer.bn.running_mean.double(), y.mean((0, 2, 3)), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(layer.bn.running_var.double(), var, atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(
            layer.bn.weight.double() ** 2, var + BN_EPS, atol=1e-6, rtol=1e-3
        )


def moved_by_training_mode(model: SSDLite, batch: torch.Tensor) -> float:
    """Mean |difference| of the scores above 0.1 between eval and training mode."""
    trained = copy.deepcopy(model).train()
    with torch.no_grad():
        calm, busy = model(batch)[0].sigmoid(), trained(batch)[0].sigmoid()
    seen = calm > 0.1
    assert seen.sum() > 100
    return float((calm - busy)[seen].abs().mean())


@needs_train
@pytest.mark.slow
def test_training_mode_stays_close_only_after_unfolding(folded: SSDLite) -> None:
    model = copy.deepcopy(folded)
    unfold_batch_norms(model, (pictures(i, i + 16) for i in range(0, 160, 16)))
    batch = pictures(200, 232)  # none of those measured on
    near, far = moved_by_training_mode(model, batch), moved_by_training_mode(folded, batch)
    assert near < 0.1  # 0.06 when this was written
    assert far > 3 * near  # 0.31


def test_unfolding_without_pictures() -> None:
    model = build(ModelCard(("mango",), 0.25))  # means of zero, as convert() leaves them
    with pytest.raises(DetectorError, match="no pictures; expected about 300"):
        unfold_batch_norms(model, [])
