"""How the network is moved: optimiser, learning rates over time, what decays and what does not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from detector.model.ssdlite import SSDLite
from detector.training.options import OptimiserName, Recipe

__all__ = ["Clock", "Recipe", "ema_step", "lr_factor", "optimiser", "param_groups"]


def param_groups(
    model: SSDLite, recipe: Recipe, fresh: Iterable[nn.Module]
) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay. fresh: modules that start from random weights."""
    rates = recipe.rates()
    new = {id(p) for module in fresh for p in module.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in model.modules():
        depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
        for p in module.parameters(recurse=False):
            decay = 0.0 if depthwise or p.dim() == 1 else rates.weight_decay
            lr = rates.head_lr if id(p) in new else rates.lr
            groups.setdefault((lr, decay), []).append(p)
    return [
        {"params": params, "lr": lr, "weight_decay": decay}
        for (lr, decay), params in sorted(groups.items())
    ]


def optimiser(groups: list[dict[str, Any]], name: OptimiserName) -> torch.optim.Optimizer:
    """The optimiser called `name` over parameter groups."""
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=0.9, momentum=0.9, eps=1e-3)
    return torch.optim.AdamW(groups)


def lr_factor(progress: float, warmup: float) -> float:
    """Share of the learning rate at `progress` in 0..1: up linearly, then down as a cosine.

    Never below 1e-3 on the way up: the first step would be wasted.
    """
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    done = (progress - warmup) / max(1 - warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def ema_step(average: Tensor, value: Tensor, updates: int, decay: float, every: int = 1) -> Tensor:
    """The moving average after one more `value`; `updates`: how many it has had.

    every: steps between two of them; the average reaches as many steps back as with all of them.

    The decay starts at 0.1 and rises, or the average of a short run would be of its beginnings.
    Written as a step towards the value, so that what never changes stays the same to the bit.
    """
    steps = updates * every
    kept = min(decay, (1 + steps) / (10 + steps)) ** every
    return average + (value - average) * (1 - kept)


class Clock:
    """How far a run is, in 0..1: by steps, or by time where seconds are given.

    `told`: where processes train together, what turns the time of each into the first one's. All
    then go by that, from one `tick` to the next, and so decide alike.
    """

    def __init__(self, steps: int = 0, seconds: float = 0.0) -> None:
        if not (steps > 0 or seconds > 0):
            raise ValueError("a run needs steps or seconds")
        self.steps, self.seconds = steps, seconds
        self.spent = 0.0  # seconds, of earlier parts of a resumed run
        self.told: Callable[[float], float] | None = None
        self._since: float | None = None
        self._held = 0.0

    def start(self) -> None:
        """Time runs from now on."""
        self._since = time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Together with others: hear the time. All must call it at the same point."""
        if self.told is not None:
            self._held = self.told(self._own())

    def elapsed(self) -> float:
        """Seconds trained so far, measurements included."""
        return self._own() if self.told is None else self._held

    def _own(self) -> float:
        return self.spent + (time.monotonic() - self._since if self._since is not None else 0.0)

    def progress(self, step: int) -> float:
        """0 at the start, 1 when the run is over."""
        return min(1.0, self.elapsed() / self.seconds if self.seconds else step / self.steps)

    def left(self, step: int) -> float:
        """Seconds to go, as things went so far; inf before the first step."""
        progress = self.progress(step)
        return self.elapsed() * (1 - progress) / progress if progress > 0 else math.inf
