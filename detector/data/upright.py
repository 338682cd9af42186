"""Labels drawn on a photograph as its sensor saw it, turned with the picture by its EXIF tag."""

from __future__ import annotations

from dataclasses import replace

from detector.data.example import Dataset, Example, Float32, Problem
from detector.data.picture_size import quick_orientation, stored_size
from detector.data.tree import Tree


def turn_upright(dataset: Dataset, tree: Tree) -> Dataset:
    """Turn the boxes of pictures whose labels give the size before the EXIF quarter turn.

    Tools that honour EXIF write the displayed size: those labels stay. Half turns and mirrorings
    keep the size, so nothing tells; labels are then taken to be of the displayed picture. Each
    picture turned is a problem of kind `exif-turned`.
    """
    examples, problems = [], list(dataset.problems)
    for example in dataset.examples:
        orientation = _quarter_turn(example)
        if orientation and example.size_wh is not None:
            width, height = example.size_wh
            message = f"labels are of the picture before its EXIF turn ({width}x{height}); turned"
            place = example.source or tree.show(example.path)
            problems.append(Problem("exif-turned", place, message, example.path))
            xyxy = turn_boxes(example.xyxy, example.size_wh, orientation)
            examples.append(replace(example, xyxy=xyxy, size_wh=(height, width)))
        else:
            examples.append(example)
    return replace(dataset, examples=tuple(examples), problems=tuple(problems))


def _quarter_turn(example: Example) -> int:
    """The orientation 5..8 to apply to the boxes, or 0 to leave them."""
    if example.size_wh is None or example.size_wh[0] == example.size_wh[1]:
        return 0
    try:
        if quick_orientation(example.path) < 5:
            return 0
        width, height, orientation = stored_size(example.path)
    except ValueError:  # whoever loads the picture says what is wrong with it
        return 0
    return orientation if orientation >= 5 and example.size_wh == (width, height) else 0


def turn_boxes(xyxy: Float32, stored_wh: tuple[int, int], orientation: int) -> Float32:
    """(G, 4) boxes of the stored picture as boxes of the displayed one, for EXIF 5 to 8.

    5 swaps the axes, 6 and 8 turn by a quarter right and left, 7 does both (TIFF 6.0, tag 274).
    """
    width, height = stored_wh
    turned: Float32 = xyxy[:, [1, 0, 3, 2]].copy()
    if orientation in (6, 7):  # the stored bottom is now on the left
        turned[:, [0, 2]] = height - turned[:, [2, 0]]
    if orientation in (7, 8):  # the stored right is now at the top
        turned[:, [1, 3]] = width - turned[:, [3, 1]]
    return turned
