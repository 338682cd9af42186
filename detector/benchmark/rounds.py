"""Fair turns: every contestant runs once in each round, so drift of the machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")
Lap = TypeVar("Lap")


@dataclass(frozen=True)
class Spread:
    """The 5th percentile, the median and the 95th percentile."""

    low: float
    middle: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(*(float(value) for value in np.percentile(values, (5, 50, 95))))


def take_turns(
    contestants: Mapping[Key, Callable[[], Lap]], rounds: int, say: Callable[[str], None]
) -> dict[Key, list[Lap]]:
    """What each contestant gave in each round; `say` is told when a round begins."""
    laps: dict[Key, list[Lap]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        for name, contestant in contestants.items():
            laps[name].append(contestant())
    return laps


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Median over the rounds of one contestant's figure divided by another's of the same round."""
    return float(np.median(np.divide(of, to)))
