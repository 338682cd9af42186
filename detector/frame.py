"""One picture on its way through the pipeline, and what every source of pictures can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Frame:
    """A picture and where it came from.

    image_bgr: (H, W, 3) uint8. H and W may differ between frames of one source.
    index: 0-based count of the pictures the source produced; gaps are frames that were dropped.
    captured_at: `time.perf_counter()` seconds at which it left the camera, stream or decoder.
    name: the file's name for pictures, else "".
    """

    image_bgr: npt.NDArray[np.uint8]
    index: int
    captured_at: float
    name: str = ""


class Source(Protocol):
    """Where frames come from. One thread reads; `close` when done, also after an error."""

    @property
    def is_live(self) -> bool:
        """True: only the newest frame matters and others are dropped. False: all, in order."""

    @property
    def fps(self) -> float | None:
        """Nominal frames a second; None for pictures and where the source does not tell."""

    @property
    def description(self) -> str:
        """What it is, for one-line messages; passwords in addresses are masked."""

    @property
    def ended(self) -> bool:
        """No more frames will come: all were read, or the source was closed."""

    @property
    def status(self) -> str:
        """Empty when all is well, else a line for the screen: `connection lost, retry 2/10 ...`."""

    @property
    def dropped(self) -> int:
        """Live frames that a newer one replaced before they were read."""

    @property
    def warnings(self) -> list[str]:
        """Lines to print at the end: pictures that could not be read, a video cut short."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next (files) or newest (live) frame; None when none came in time or `ended`.

        Raises SourceLostError when a live source is gone for good, DetectorError when a file
        source holds nothing readable.
        """

    def close(self) -> None:
        """Release camera, stream or file; returns within about a second and may be repeated."""
