"""`detector benchmark`: how fast, side by side in one run."""

from __future__ import annotations

from dataclasses import dataclass, field

import tyro

from detector.commands.options import ModelOptions


@dataclass(frozen=True)
class Benchmark:
    """Time the engines, the whole demo and OpenCV's own DNN loop on one video, side by side."""

    source: str = "sample"
    """A video file, or "sample"."""
    rounds: int = 5
    """How often each is measured, in turn; medians are printed."""
    frames: int = 200
    """Frames of the video a round."""
    options: tyro.conf.OmitArgPrefixes[ModelOptions] = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Prints a table."""
        raise NotImplementedError
