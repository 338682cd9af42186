"""What making an int8 file can be told. Nothing heavy is imported: `--help` shows it at once."""

from __future__ import annotations

from dataclasses import dataclass

from detector.data.flips import FLIPS

MAX_DROP = 0.3
VIEWS = 640  # 40 steps, as measured in docs/int8.md
BATCH = 16


@dataclass(frozen=True)
class Int8Options:
    """max_drop: points of AP that int8 may lose on training pictures held back. views: of the
    pictures, seen in fine-tuning where it loses more; 0: none. batch: of them, at once, at most.
    flips: chance of a view being mirrored.
    """

    max_drop: float = MAX_DROP
    views: int = VIEWS
    batch: int = BATCH
    flips: float = FLIPS
