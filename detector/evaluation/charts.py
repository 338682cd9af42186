"""An analysis as bars and as a heat map: each takes figures and gives one `Plot`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from detector.evaluation.analysis import Float64, Int64
from detector.evaluation.svg import BLUE, INK, SIZE, SKY, VERMILION, Plot, count, number, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = ("small", "medium", "large")  # of objects: COCO's, up to 32, 96 and more pixels square


def score_counts(bins: Float64) -> Plot:
    """How many detections have which score; bins (B, 3) as in Analysis."""
    kept = bins[bins[:, 2] > 0]
    width = 0.6 / max(10, len(bins))

    def draw(axes: Axes) -> None:
        axes.bar(kept[:, 0], kept[:, 2], width=width, color=BLUE)
        axes.set_xlim(0, 1)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_formatter(lambda value, _: count(value))
        axes.grid(axis="y")
        axes.set_xlabel("score")
        axes.set_ylabel("detections")

    alt = "; ".join(f"score {x:.2f}: {n:.0f}" for x, _, n in kept.tolist())
    return Plot(draw, SIZE, "scores", f"Number of detections by score: {alt}")


def mistake_costs(costs: Mapping[str, float], words: Mapping[str, str]) -> Plot:
    """AP50 points that each kind of mistake costs, dearest first. words: kind to plain words."""
    kinds = sorted(costs, key=lambda kind: -_zero(costs[kind]))
    values = [_zero(costs[kind]) for kind in kinds]
    labels = [words.get(kind, kind) for kind in kinds]

    def draw(axes: Axes) -> None:
        bars = axes.barh(labels, values, color=VERMILION, height=0.6)
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=4)
        axes.invert_yaxis()
        axes.set_xlim(0, max(*values, 1.0, 0.0) * 1.15)
        axes.set_xlabel("AP50 points lost")
        axes.tick_params(axis="y", length=0, labelcolor=INK)

    alt = "; ".join(f"{label}: {v:.1f}" for label, v in zip(labels, values, strict=True))
    return Plot(draw, SIZE, "costs", f"AP50 points that mistakes cost: {alt}")


def by_size(figures: Mapping[str, float]) -> Plot:
    """AP, and AR where it is known, for small, medium and large objects."""
    known = [m for m in ("AP", "AR") if any(f"{m} {size}" in figures for size in SIZES)]
    rows = {m: [figures.get(f"{m} {size}", math.nan) for size in SIZES] for m in known}

    def draw(axes: Axes) -> None:
        width = 0.72 / max(1, len(rows))
        for i, (metric, values) in enumerate(rows.items()):
            places = np.arange(len(SIZES)) + (i - (len(rows) - 1) / 2) * width
            heights = [_zero(value) for value in values]
            bars = axes.bar(places, heights, width * 0.92, label=metric, color=(BLUE, SKY)[i])
            axes.bar_label(bars, [number(value) for value in values], padding=2)
        axes.set_xticks(range(len(SIZES)), ["small\nup to 32 px", "medium", "large\nfrom 96 px"])
        axes.tick_params(axis="x", length=0, labelcolor=INK)
        axes.set_ylim(0, 105)
        axes.set_ylabel("percent")
        if len(rows) > 1:
            axes.legend(loc="upper left", ncols=2)

    alt = "; ".join(
        f"{metric} {size} {number(value)}"
        for metric, values in rows.items()
        for size, value in zip(SIZES, values, strict=True)
    )
    return Plot(draw, SIZE, "sizes", f"By object size: {alt}")


def confusion(matrix: Int64, names: Sequence[str]) -> Plot:
    """Counts (K + 1, K + 1) as in Analysis, each row shaded by its shares. names: K of them."""
    rows = [*(short(name) for name in names), "nothing there"]
    columns = [*rows[:-1], "missed"]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    letters = 0.1 * max(map(len, [*rows, *columns]))  # inches
    side = 0.4 if len(names) > 5 else 0.66
    turned = 0.1 * max(map(len, columns)) > side
    width = side * len(rows) + letters + 0.5
    height = side * len(rows) + (letters if turned else 0.25) + 0.4

    def draw(axes: Axes) -> None:
        edges = np.arange(len(rows) + 1) - 0.5
        shade = np.ma.masked_equal(shares, 0)
        axes.pcolormesh(edges, edges, shade, cmap="Blues", vmin=0, vmax=1)
        axes.set_aspect("equal")
        axes.invert_yaxis()
        for y, x in zip(*np.nonzero(matrix), strict=True):
            ink = "#f7fbff" if shares[y, x] > 0.5 else "#08306b"
            text = count(int(matrix[y, x]))
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=9)
        axes.set_xticks(range(len(columns)), columns, rotation=90 if turned else 0)
        axes.set_yticks(range(len(rows)), rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.set_axisbelow(False)
        axes.grid(which="minor")
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel("found")
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("truth")

    alt = f"Confusion matrix of {', '.join(rows)}: {matrix.tolist()}"
    return Plot(draw, (width, height), "confusion", alt)


def _zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
