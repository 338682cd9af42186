"""The diagrams: what a filter sees, and how layers follow each other in a block."""

from __future__ import annotations

from dataclasses import dataclass

from mobilenet_pictures.canvas import Canvas, Point
from mobilenet_pictures.counts import channels

CELL, SIDE = 9, 6  # pixels a cell, cells a side of the small maps
MAP = CELL * SIDE
BOX = 140  # width of a layer
COLORS = ("blue", "orange", "green")


def convolution() -> Canvas:
    """What a filter of each kind reads, and what it writes."""
    canvas = Canvas(800, 420, "A full, a depthwise and a pointwise filter on three channels")
    canvas.text(70, 34, "full convolution, K x K", bold=True)
    _columns(canvas, 40, outputs=4)
    canvas.text(335, 34, "depthwise, K x K", bold=True)
    _columns(canvas, 305, outputs=3)
    canvas.text(600, 34, "pointwise, 1x1", bold=True)
    _columns(canvas, 570, outputs=4)
    for i in range(3):
        _reads(canvas, 40, i, 3, "blue", 0)
        _reads(canvas, 305, i, 3, COLORS[i], i)
        _reads(canvas, 570, i, 1, "purple", 0)
    for output, across, color in ((0, 40, "blue"), (0, 570, "purple")):
        _writes(canvas, across, output, color)
    for i in range(3):
        _writes(canvas, 305, i, COLORS[i])
    lines = (
        ("n_c' filters of K^2 * n_c weights:", "each sees a neighbourhood", "of all channels"),
        ("n_c filters of K^2 weights:", "each sees a neighbourhood", "of one channel"),
        ("n_c' filters of n_c weights:", "each sees one place", "of all channels"),
    )
    for across, words in zip((40, 305, 570), lines, strict=True):
        for i, line in enumerate(words):
            canvas.text(across, 352 + 18 * i, line, color="ink" if i == 0 else "soft")
    return canvas


def _top(number: int, of: int) -> float:
    """The upper edge of one of `of` maps that stand below each other."""
    return 62 + (4 - of) * (MAP + 12) / 2 + number * (MAP + 12)


def _columns(canvas: Canvas, x: float, outputs: int) -> None:
    """Three maps on the left, `outputs` on the right."""
    canvas.text(x + MAP / 2, 54, "n_c", color="soft", size=12, anchor="middle")
    name = "n_c'" if outputs == 4 else "n_c"
    canvas.text(x + 135 + MAP / 2, 54, name, color="soft", size=12, anchor="middle")
    for left, of in ((x, 3), (x + 135, outputs)):
        for number in range(of):
            top = _top(number, of)
            for i in range(SIDE + 1):
                canvas.line([(left + i * CELL, top), (left + i * CELL, top + MAP)], "line", 1)
                canvas.line([(left, top + i * CELL), (left + MAP, top + i * CELL)], "line", 1)


def _reads(canvas: Canvas, x: float, channel: int, kernel: int, color: str, output: int) -> None:
    """Mark the window in a channel of the input, and lead it to the cell of an output map."""
    first = 2 - kernel // 2
    size = kernel * CELL
    left, top = x + first * CELL, _top(channel, 3) + first * CELL
    outputs = 3 if x == 305 else 4
    goal = (x + 135 + 2 * CELL, _top(output, outputs) + 2.5 * CELL)
    canvas.line([(left + size, top + size / 2), goal], color, 1, "3 3")
    canvas.rect(left, top, size, size, color, edge=color, opacity=0.75)


def _writes(canvas: Canvas, x: float, output: int, color: str) -> None:
    outputs = 3 if x == 305 else 4
    canvas.rect(x + 135 + 2 * CELL, _top(output, outputs) + 2 * CELL, CELL, CELL, color)


@dataclass(frozen=True)
class Block:
    """A column of layers between maps.

    widths: channels that go in and behind each layer. layers: what is between, as (kernel,
    what follows it). shortcut: whether the first map is added to the last. note: below the title.
    """

    title: str
    note: str
    widths: list[int]
    layers: list[tuple[str, str]]
    shortcut: bool = False


def draw_blocks(blocks: list[Block], alt: str, widest: int) -> Canvas:
    """Blocks side by side; maps are bars, as wide as their channels; `widest` fill a column."""
    column = 784 / len(blocks)
    longest = max(len(block.layers) for block in blocks)
    canvas = Canvas(800, 100 + 74 * longest, alt)
    for i, block in enumerate(blocks):
        middle = 8 + column * (i + 0.5) + (8 if block.shortcut else 0)
        canvas.text(middle, 30, block.title, bold=True, anchor="middle")
        canvas.text(middle, 48, block.note, color="soft", size=12, anchor="middle")
        _draw_block(canvas, block, middle, (column - 62) / widest)
    return canvas


def _draw_block(canvas: Canvas, block: Block, middle: float, scale: float) -> None:
    for number, wide in enumerate(block.widths):
        y = 66 + 74 * number
        canvas.rect(middle - wide * scale / 2, y, wide * scale, 16, "blue", opacity=0.55)
        canvas.text(middle, y + 13, str(wide), size=12, anchor="middle")
    for number, (layer, after) in enumerate(block.layers):
        y = 66 + 74 * number
        kind = "orange" if "depthwise" in layer else "green" if "excite" in layer else "purple"
        canvas.arrow((middle, y + 18), (middle, y + 72))
        canvas.rect(middle - BOX / 2, y + 25, BOX, 36, "paper", edge=kind, corner=5)
        canvas.text(middle, y + 40, layer, size=12, anchor="middle")
        canvas.text(middle, y + 55, after, color="soft", size=11, anchor="middle")
    if block.shortcut:
        ends = [(66 + 8.0, block.widths[0]), (66 + 74.0 * len(block.layers) + 8, block.widths[-1])]
        far = middle - max(BOX, scale * max(block.widths)) / 2 - 12
        _shortcut(canvas, middle, far, [(y, wide * scale / 2) for y, wide in ends])


def _shortcut(canvas: Canvas, middle: float, far: float, ends: list[Point]) -> None:
    """From the left side of the first map around the layers, at x = `far`, to that of the last."""
    (start, first), (end, last) = ends
    canvas.line([(middle - first - 2, start), (far, start), (far, end)], "red", 1.8)
    canvas.arrow((far, end), (middle - last - 3, end), "red")
    canvas.text(far + 5, end - 5, "+", color="red", size=14, bold=True)


BOTH, NORM, NONE = "BN, ReLU6", "BN", "nothing"


def separable() -> Canvas:
    """The order of layers in Inception, Xception and MobileNet."""
    v1 = channels("mobilenet_v1", "layers.6")
    xception = channels("xception", "blocks.5")[:3]
    wide = xception[0]
    return draw_blocks(
        [
            Block(
                "Inception, taken to its end",
                "mix, then filter",
                [wide] * 3,
                [("1x1", "ReLU"), ("3x3 depthwise", "ReLU")],
            ),
            Block(
                "Xception",
                "filter, then mix",
                xception,
                [("3x3 depthwise", NONE), ("1x1", "BN (ReLU before the next)")],
            ),
            Block(
                "MobileNetV1",
                "filter, then mix",
                v1,
                [("3x3 depthwise", BOTH), ("1x1", BOTH)],
            ),
        ],
        "Order of filtering, mixing and activations in Inception, Xception and MobileNet",
        1000,
    )


def residual() -> Canvas:
    """The classical residual block against V2's and V3's inverted ones."""
    v2, v3 = channels("mobilenet_v2", "blocks.8"), channels("mobilenet_v3_large", "blocks.11")
    return draw_blocks(
        [
            Block(
                "ResNet's bottleneck",
                "the shortcut joins wide maps",
                [256, 64, 64, 256],  # He et al. 2016, figure 5
                [
                    ("1x1", "BN, ReLU"),
                    ("3x3 full", "BN, ReLU"),
                    ("1x1", "BN (ReLU after the sum)"),
                ],
                shortcut=True,
            ),
            Block(
                "MobileNetV2",
                "the shortcut joins narrow maps",
                v2,
                [("1x1", BOTH), ("3x3 depthwise", BOTH), ("1x1", "BN: linear")],
                shortcut=True,
            ),
            Block(
                "MobileNetV3",
                "with squeeze-and-excite",
                [*v3[:3], v3[2], v3[3]],
                [
                    ("1x1", "BN, hard-swish"),
                    ("3x3 depthwise", "BN, hard-swish"),
                    ("squeeze-and-excite", "a factor for each channel"),
                    ("1x1", "BN: linear"),
                ],
                shortcut=True,
            ),
        ],
        "ResNet's residual block and the inverted ones of MobileNetV2 and V3",
        700,
    )


def universal() -> Canvas:
    """The four forms of V4's universal inverted bottleneck."""
    narrow, wide = channels("mobilenet_v4", "layers.12")[0], 512
    start, middle = ("depthwise", NORM), ("depthwise", "BN, ReLU")
    expand, project = ("1x1", "BN, ReLU"), ("1x1", "BN: linear")
    forms = (
        ("inverted bottleneck", "that of V2", [expand, middle, project]),
        ("ConvNext-like", "filters where it is narrow", [start, expand, project]),
        ("ExtraDW", "filters twice", [start, expand, middle, project]),
        ("FFN", "does not filter", [expand, project]),
    )
    return draw_blocks(
        [
            Block(name, note, _widths(layers, narrow, wide), layers, shortcut=True)
            for name, note, layers in forms
        ],
        "The four forms of the universal inverted bottleneck",
        640,
    )


def _widths(layers: list[tuple[str, str]], narrow: int, wide: int) -> list[int]:
    """Channels along a universal inverted bottleneck: wide from the first 1x1 to the last."""
    first = next(i for i, (name, _) in enumerate(layers) if name == "1x1")
    last = len(layers) - 1
    return [narrow, *(wide if first <= i < last else narrow for i in range(len(layers)))]
