"""Small networks like trained ones: batch norms with statistics, weights that files keep whole."""

from __future__ import annotations

import torch
from torch import nn


def seen_blobs(model: nn.Module, side: int, cells: int, times: int = 1) -> None:
    """Give batch norms the statistics of soft random pictures of `side` pixels, in place."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # true means at once, or signals would fade on the way
    with torch.no_grad():
        for _ in range(times):
            noise = torch.rand(8, 3, cells, cells)
            model(nn.functional.interpolate(noise, side, mode="bilinear") * 2 - 1)


def in_halves(model: nn.Module) -> None:
    """Let float16 hold the fused weights exactly, in place: files store halves."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(layer.weight.half().float())
            if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
                spread = (layer.running_var + layer.eps).sqrt()
                layer.weight.copy_(spread * 2.0 ** (-spread.log2()).round())
