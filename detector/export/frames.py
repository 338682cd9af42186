"""Pictures as a network takes them, decoded once and kept while they fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from detector.errors import DetectorError, OutOfMemoryError
from detector.images import read_image
from detector.preprocess import to_batch

UInt8 = npt.NDArray[np.uint8]
BUDGET = 256 << 20  # bytes: 500 pictures at 300 px take 135 MB


class Frames(Sequence[UInt8]):
    """Pictures as (1, side, side, 3) uint8 BGR, in order; do not change them.

    budget: bytes to keep; what does not fit is read again each time. `readable`: indices into the
    paths given, of those that could be decoded; the rest is left out, and `failed` has a line on
    each. `sizes_wh`: pixels of the pictures themselves.
    """

    def __init__(self, paths: Sequence[Path], side: int, budget: int = BUDGET) -> None:
        self.side = side
        self.readable: list[int] = []
        self.failed: list[str] = []
        self.sizes_wh: list[tuple[int, int]] = []
        self._paths: list[Path] = []
        self._kept: list[UInt8] = []  # of the first pictures
        room = budget // (3 * side * side)
        for index, path in enumerate(paths):
            try:
                image = read_image(path)
            except OutOfMemoryError:  # nothing is wrong with the picture: it must not be left out
                raise
            except DetectorError as error:
                self.failed.append(str(error))
                continue
            self.readable.append(index)
            self._paths.append(path)
            self.sizes_wh.append((image.shape[1], image.shape[0]))
            if len(self._kept) < room:
                self._kept.append(to_batch(image, (side, side)))

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> UInt8: ...
    @overload
    def __getitem__(self, index: slice) -> list[UInt8]: ...

    def __getitem__(self, index: int | slice) -> UInt8 | list[UInt8]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]  # IndexError beyond the end, which ends a loop
        if place < len(self._kept):
            return self._kept[place]
        return to_batch(read_image(self._paths[place]), (self.side, self.side))
