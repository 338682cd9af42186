"""The input size a run works at, when it is told none: large enough for the objects it learns."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import numpy.typing as npt

from detector.data.example import Dataset
from detector.data.loading import clipped
from detector.data.picture_size import displayed_size
from detector.data.split import thinned
from detector.training.anchors import sides
from detector.training.options import Settings
from detector.training.plan import SIZES
from detector.training.start import native_size

Float = npt.NDArray[np.float64]
WANTED_PX = 75  # the median object's side, see docs/training.md, "Input size"
LARGEST = 512  # 2.9 times the work of 300 px; beyond it pictures are better cut into tiles
STEP = 32
MOST = 200  # pictures with boxes that are looked at: of a PNG or TIFF all has to be read


def sized(settings: Settings, train: Dataset) -> tuple[Settings, str]:
    """The settings with a size, and a line that says why it is a larger one, or "".

    That of the weights, or as much more, up to LARGEST, as brings the median object to WANTED_PX.
    Raises DetectorError for weights that cannot be used.
    """
    if settings.size:
        return settings, ""
    native = min(max(native_size(settings.weights), SIZES[0]), SIZES[1])
    found = object_sides(train) * native
    size = enough(float(np.median(found)), native) if len(found) else native
    chosen = dataclasses.replace(settings, size=size)
    if size == native:
        return chosen, ""
    work = (size / native) ** 2
    return chosen, (
        f"objects are small (half of them below {np.median(found):.0f} px at --size {native}), so "
        f"--size {size} is taken, for {work:.1f} times the work of a picture; --size {native} is "
        "faster and finds fewer"
    )


def enough(median_px: float, native: int) -> int:
    """The size at which objects of median_px at size `native` have WANTED_PX, native at least."""
    wanted = STEP * int(np.ceil(native * WANTED_PX / median_px / STEP))
    return max(native, min(wanted, LARGEST)) if median_px < WANTED_PX else native


def object_sides(data: Dataset) -> Float:
    """Root of the area of the wanted boxes of at most MOST pictures, in sides of the input: (G,).

    Pictures without a readable header are left out: whoever decodes them says so.
    """
    found = [np.zeros(0)]
    for example in thinned([one for one in data.examples if len(one.labels)], MOST):
        with contextlib.suppress(ValueError):
            size_wh = displayed_size(example.path)
            boxes, whole = clipped(example.xyxy, size_wh, (1.0, 1.0))
            wanted = boxes[whole & ~example.ignore]
            fractions = np.asarray(wanted / np.array(size_wh * 2, np.float32), np.float32)
            found.append(sides(fractions))
    return np.concatenate(found)
