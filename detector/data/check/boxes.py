"""What can be wrong with the boxes of one picture; pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detector.data.example import Bool, Float32, Int64
from detector.detections import pairwise_iou

SAME_IOU = 0.95  # two boxes that overlap so much were drawn around the same thing
WHOLE_SHARE = 0.95
# An object of fewer pixels in the network's input is a smudge; the smallest anchor has 30.
TINY_PX, INPUT_PX = 4.0, 300
SLACK_PX = 0.01  # float32 of a fraction times a width is not exact


def odd_boxes(
    xyxy: Float32, labels: Int64, ignore: Bool, size_wh: tuple[int, int]
) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """(kind, rows, message) of each odd thing; a box has at most one kind of its own.

    xyxy: (G, 4) as labelled; labels, ignore: (G,); size_wh: of the picture as displayed.
    """
    for row, box in enumerate(xyxy):
        found = _odd_box(box, bool(ignore[row]), size_wh)
        if found is not None:
            yield found[0], (row,), f"{found[1]} (box {_corners(box)})"
    # As training sees them: clipped. Two that differ beyond the border only are the same.
    for first, second in _same_place(np.clip(xyxy, 0, np.array(size_wh * 2, np.float32))):
        if labels[first] == labels[second]:
            yield "duplicate-box", (first, second), f"drawn twice: box {_corners(xyxy[first])}"
        else:
            yield "two-labels", (first, second), f"two classes: box {_corners(xyxy[first])}"


def _odd_box(box: Float32, ignore: bool, size_wh: tuple[int, int]) -> tuple[str, str] | None:
    """(kind, message) of one box (4,), the gravest; None for a good one."""
    width, height = size_wh
    x1, y1, x2, y2 = (float(v) for v in box)
    if x2 < x1 or y2 < y1:
        return "inverted-box", "its corners are swapped"
    if x1 == x2 or y1 == y2:
        return "zero-size-box", "zero width" if x1 == x2 else "zero height"
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return "box-off-picture", f"wholly off the picture of {width}x{height}"
    beyond = max(-x1, -y1, x2 - width, y2 - height)
    if beyond > 1 + SLACK_PX:
        return "box-outside", f"{beyond:.0f} px off the picture of {width}x{height}"
    if beyond > 0.5:  # up to half a pixel is rounding
        return "off-by-one", f"one pixel off the picture of {width}x{height}"
    if ignore:  # a crowd may well fill the picture
        return None
    share = (x2 - x1) * (y2 - y1) / (width * height)
    if share > WHOLE_SHARE:
        return "covers-picture", f"covers {share:.0%} of the picture"
    side = min((x2 - x1) / width, (y2 - y1) / height) * INPUT_PX
    if side < TINY_PX:
        return "tiny-box", f"{side:.1f} px across when the picture is resized to {INPUT_PX}"
    return None


def _same_place(xyxy: Float32) -> Iterator[tuple[int, int]]:
    """Pairs of rows (i < j) with an IoU of at least SAME_IOU; both must have an area."""
    rows = np.nonzero((xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1]))[0]
    for position, i in enumerate(rows):
        rest = rows[position + 1 :]
        for j in rest[pairwise_iou(xyxy[i : i + 1], xyxy[rest])[0] >= SAME_IOU]:
            yield int(i), int(j)


def _corners(box: Float32) -> str:
    return ", ".join(f"{v:g}" for v in np.round(box.astype(float), 1))
