"""A network's costs as tables for the terminal, at most 100 columns wide, and for a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from detector.model.cost import LayerCost, totals
from detector.model.cost_table import (
    Block,
    Network,
    blocks,
    folded,
    full_totals,
    kind_of,
    peak_memory,
    separables,
    shares,
)
from detector.model.receptive_field import Field

WHOLE = "*"
NOTE = (
    "field: side in pixels of what a cell sees of the picture; step: pixels between two cells;\n"
    f"{WHOLE}: through squeeze-and-excite it sees a mean of the whole picture as well.\n"
    "memory: bytes of the outputs in float32. Batch norms are counted with their convolutions."
)
FULL_NOTE = (
    "K: kernel; M, N: channels in and out; ratio: of multiply-adds, as counted, beside the formula."
)
LABELS = {"full": "full, 3x3 or more", "other": "linear, squeeze-and-excite"}
UNITS = "kMG"
REPEATS = (3, 2)


Detail = Literal["blocks", "layers", "full"]


def report(network: Network, detail: Detail) -> str:
    """A network's title, one table in `detail` (a line for each block, layer, or separable layer
    against its full convolution), and the totals.
    """
    head = {"none": "no head", "ssd": "SSD head", "ssdlite": "SSDLite head"}[network.head]
    title = f"{network.backbone}, width {network.width:g}, {network.side} px, {head}"
    tables = {"blocks": by_block, "layers": by_layer, "full": against_full}
    notes = FULL_NOTE if detail == "full" else NOTE
    return "\n\n".join([title, tables[detail](network.rows), notes, summed(network.rows)])


def by_block(rows: Sequence[LayerCost]) -> str:
    """A line for each block."""
    _, all_multiply_adds = totals(rows)
    lines = []
    for block in blocks(rows):
        params, multiply_adds = totals(block.layers)
        share = f"{100 * multiply_adds / max(1, all_multiply_adds):.1f}"
        costs = [si(params), si(multiply_adds), share, si(block.memory)]
        shape = _shape(block.out_shape)
        lines.append([block.name, contents(block), shape, *costs, *_seen(block.field)])
    head = ["block", "layers", "output", "params", "mult-adds", "%", "memory", "field", "step"]
    return table(head, lines, left=2)


def by_layer(rows: Sequence[LayerCost]) -> str:
    """A line for each convolution or other layer that is not folded into one."""
    lines = []
    for row in folded(rows):
        shape = f"{_shape(row.in_shape)}->{_shape(row.out_shape)}"
        costs = [si(row.params), si(row.multiply_adds), si(row.memory)]
        name = row.name.removeprefix("backbone.").removesuffix(".conv")
        lines.append([name, _what(row), shape, *costs, *_seen(row.field)])
    # Short, for the table to fit: V3's and Xception's names are long.
    head = ["layer", "type", "input->output", "params", "madds", "memory", "field", "step"]
    return table(head, lines, left=2)


def against_full(rows: Sequence[LayerCost]) -> str:
    """A line for each separable layer and the full convolution it stands for."""
    lines = []
    for layer in separables(rows):
        size = [f"{layer.kernel}x{layer.kernel}", str(layer.c_in), str(layer.c_out)]
        params = [si(layer.params), si(layer.full_params)]
        multiply_adds = [si(layer.multiply_adds), si(layer.full_multiply_adds)]
        ratios = [f"{layer.ratio:.4f}", f"{layer.predicted:.4f}"]
        lines.append([layer.name, *size, *params, *multiply_adds, *ratios])
    head = ["block", "K", "M", "N", "params", "full", "mult-adds", "full", "ratio", "1/N + 1/K^2"]
    return table(head, lines, left=2)


def summed(rows: Sequence[LayerCost]) -> str:
    """Totals, what they are spent in, and the same network with full convolutions."""
    costs, full = totals(rows), full_totals(rows)
    more = [f"{b / max(1, a):.1f} times" for a, b in zip(costs, full, strict=True)]
    spent = [
        [f"  {LABELS.get(kind, kind)}", f"{100 * p:.1f} %", f"{100 * m:.1f} %"]
        for kind, (p, m) in shares(rows).items()
        if p or m
    ]
    lines = [["in all", *map(si, costs)], *spent]
    if separables(rows):
        lines += [["full convolutions instead", *map(si, full)], ["  which is", *more]]
    memory = sum(row.memory for row in folded(rows))
    held = f"memory: {si(memory)}B written in all, at least {si(peak_memory(rows))}B held at once"
    return f"{table(['', 'params', 'mult-adds'], lines)}\n{held}"


SUMMARY = (
    *("network", "width", "size", "params", "mult-adds", "backbone"),
    *("1x1", "dw", "full", "all full", "memory", "field"),
)
HEAD = ("extras.", "class_heads.", "box_heads.")


def summary(networks: Sequence[Network]) -> str:
    """A table in Markdown, a row for each network."""
    lines = [_summary_row(network) for network in networks]
    widths = [max(len(line[i]) for line in (SUMMARY, *lines)) for i in range(len(SUMMARY))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [_pad(line, widths, 1) for line in (SUMMARY, rule, *lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _summary_row(network: Network) -> list[str]:
    """The cells under `SUMMARY`; shares are of multiply-adds, the field is the backbone's last."""
    rows = network.rows
    params, multiply_adds = totals(rows)
    backbone = [row for row in rows if not row.name.startswith(HEAD)]
    spent = {kind: f"{100 * m:.0f} %" for kind, (_, m) in shares(rows).items()}
    ratio = full_totals(rows)[1] / max(1, multiply_adds)
    return [
        *(network.backbone, f"{network.width:g}", str(network.side)),
        *(si(params), si(multiply_adds), si(totals(backbone)[1])),
        *(spent[kind] for kind in ("1x1", "depthwise", "full")),
        *(f"{ratio:.1f} x", f"{si(peak_memory(rows))}B", _seen(backbone[-1].field)[0]),
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Text in columns, the first `left` of them set left, the others right."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    return "\n".join("  ".join(_pad(line, widths, left)).rstrip() for line in (head, *rows))


def _pad(line: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    cells = zip(line, widths, strict=True)
    return [
        cell.ljust(width) if i < left else cell.rjust(width)
        for i, (cell, width) in enumerate(cells)
    ]


def contents(block: Block) -> str:
    """A block's layers in short: "1x1 dw3/2 se 1x1", a series that repeats as "3 (dw3 1x1)"."""
    words: list[str] = []
    for row in block.layers:
        word = _what(row)
        if word != "se" or words[-1:] != ["se"]:  # two layers make one squeeze-and-excite
            words.append(word)
    for times in REPEATS:
        part = words[: len(words) // times]
        if len(part) > 1 and part * times == words:
            return f"{times} ({' '.join(part)})"
    return " ".join(words)


def _what(row: LayerCost) -> str:
    """A layer in short: its kernel, dw before it for a depthwise one, /2 behind it for a stride."""
    step = f"/{row.stride}" if row.stride > 1 else ""
    if row.kernel and kind_of(row) == "other" and row.kind == "pointwise":
        return "se"
    if row.kernel:
        return (
            f"dw{row.kernel}" if row.kind == "depthwise" else f"{row.kernel}x{row.kernel}"
        ) + step
    return "max/2" if row.kind == "SameMaxPool2d" else row.kind


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _seen(field: Field | None) -> list[str]:
    """The field's side and step; neither where there is no grid of cells."""
    if field is None or not field.stride:
        return ["all" if field else "", ""]
    return [f"{field.size}{WHOLE if field.whole else ''}", str(field.stride)]


def si(number: float) -> str:
    """Three figures: 4.32 M, 733 M, 10.0 G; whole numbers below a thousand as they are."""
    if abs(number) < 999.5:
        return f"{number:g}"
    thousands = 0
    while thousands < len(UNITS) and abs(number) >= 999.5:
        number, thousands = number / 1000, thousands + 1
    figures = f"{number:#.3g}".rstrip(".")
    return f"{figures} {UNITS[thousands - 1]}"
