"""An analysis as plots: each takes figures and gives one <svg> element."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from detector.evaluation.analysis import ClassFigures, Float64, Int64
from detector.evaluation.svg import BLUE, COLORS, INK, ORANGE, SKY, SOFT, VERMILION, plot
from detector.page import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (5.0, 3.7)  # inches; beside another on a desk, alone on a phone
POINTS = 200  # of a curve, at most
NAME = 18  # letters of a class name
SIZES = ("small", "medium", "large")  # of objects: COCO's, up to 32, 96 and more pixels square
Series = tuple[str, Float64, Float64]  # a name, x and y


def precision_recall(classes: Sequence[ClassFigures], name: str = "pr") -> str:
    """Precision against recall at IoU 0.5, a line a class."""

    def draw(axes: Axes) -> None:
        _unit_square(axes, "recall", "precision")
        lines = [(f"{short(c.name)} {number(c.ap50)}", *_rising_recall(c)) for c in classes]
        _lines(axes, lines, legend=True)

    return plot(draw, _with_legend(classes), name, f"Precision and recall: {_names(classes)}")


def f1_by_threshold(classes: Sequence[ClassFigures], threshold: float, name: str = "f1") -> str:
    """F1 against the score threshold, a line a class; the best for all is marked."""

    def draw(axes: Axes) -> None:
        _unit_square(axes, "score threshold", "F1")
        if math.isfinite(threshold):
            axes.axvline(threshold, color=SOFT, linewidth=1)
            side = (4, "left") if threshold < 0.75 else (-4, "right")
            axes.annotate(
                f"{threshold:.2f}",
                (threshold, 1.0),
                (side[0], -2),
                textcoords="offset points",
                ha=side[1],
                va="top",
                color=INK,
            )
        lines = [(short(c.name), *f1_curve(c)) for c in classes]
        _lines(axes, lines, legend=True)

    alt = f"F1 against the score threshold, best at {threshold:.2f}: {_names(classes)}"
    return plot(draw, _with_legend(classes), name, alt)


def reliability(bins: Float64) -> str:
    """Share of detections that are right against their mean score; bins (B, 3) as in Analysis."""
    kept = bins[bins[:, 2] > 0]

    def draw(axes: Axes) -> None:
        _unit_square(axes, "score", "share that is right")
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
        axes.annotate("as good as its word", (0.97, 0.93), ha="right", va="top", color=SOFT)
        axes.plot(kept[:, 0], kept[:, 1], color=BLUE, marker="o", clip_on=False)

    alt = "; ".join(f"score {x:.2f}: {y:.0%} right" for x, y, _ in kept.tolist())
    return plot(draw, SIZE, "reliability", f"Reliability: {alt}")


def score_counts(bins: Float64) -> str:
    """How many detections have which score; bins (B, 3) as in Analysis."""
    kept = bins[bins[:, 2] > 0]
    width = 0.8 / max(1, len(bins))

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
    return plot(draw, SIZE, "scores", f"Number of detections by score: {alt}")


def mistake_costs(costs: Mapping[str, float], words: Mapping[str, str]) -> str:
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
    return plot(draw, SIZE, "costs", f"AP50 points that mistakes cost: {alt}")


def by_size(figures: Mapping[str, float]) -> str:
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
    return plot(draw, SIZE, "sizes", f"By object size: {alt}")


def confusion(matrix: Int64, names: Sequence[str]) -> str:
    """Counts (K + 1, K + 1) as in Analysis, each row shaded by its shares. names: K of them."""
    rows = [*(short(name) for name in names), "nothing there"]
    columns = [*rows[:-1], "missed"]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 0.44 if len(names) > 5 else 0.62
    letters = max(len(text) for text in [*rows, *columns])
    width = side * len(rows) + 0.075 * letters + 0.7

    def draw(axes: Axes) -> None:
        axes.imshow(np.where(matrix > 0, shares, np.nan), cmap="Blues", vmin=0, vmax=1)
        for y, x in zip(*np.nonzero(matrix), strict=True):
            ink = "#f7fbff" if shares[y, x] > 0.5 else "#08306b"
            text = count(int(matrix[y, x]))
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=9)
        turned = max(map(len, columns)) * 0.075 > side
        axes.set_xticks(range(len(columns)), columns, rotation=90 if turned else 0)
        axes.set_yticks(range(len(rows)), rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        axes.set_xticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor")
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel("found")
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("truth")

    alt = f"Confusion matrix of {', '.join(rows)}: {matrix.tolist()}"
    return plot(draw, (width, width), "confusion", alt)


def over_steps(lines: Sequence[Series], y: str, name: str, *, logarithmic: bool = False) -> str:
    """Curves over a run's steps; marked at its points where these are few. y: what they show."""

    def draw(axes: Axes) -> None:
        few = max(len(values) for _, _, values in lines) <= 30
        for (label, steps, values), color in zip(lines, (BLUE, ORANGE), strict=False):
            axes.plot(steps, values, color=color, label=label, marker="o" if few else None)
        axes.set_xlabel("step")
        axes.set_ylabel(y)
        axes.grid()
        if logarithmic:
            axes.set_yscale("log")
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.set_ylim(0, 100)
        axes.legend(loc="best")

    ends = ", ".join(f"{label} ends at {values[-1]:.3g}" for label, _, values in lines)
    return plot(draw, SIZE, name, f"{y} over the steps of the run: {ends}")


def f1_curve(figures: ClassFigures) -> tuple[Float64, Float64]:
    """Score thresholds from 0 to 1 and the F1 at each: all of at least that score are taken."""
    thresholds = np.linspace(0, 1, POINTS + 1)
    both = figures.precision + figures.recall
    f1 = np.divide(2 * figures.precision * figures.recall, both, np.zeros_like(both), where=both > 0)
    taken = np.searchsorted(-figures.scores, -thresholds, side="right")  # how many, best first
    return thresholds, np.concatenate([[0.0], f1])[taken]


def short(name: str) -> str:
    """A class name for a plot: one line, not too long; a leading "_" would hide it there."""
    name = printable(name) or "(no name)"
    name = name if len(name) <= NAME else name[: NAME - 1] + "…"
    return f" {name}" if name.startswith("_") else name


def number(value: float) -> str:
    """A percentage with one digit; a dash for nan."""
    return f"{value:.1f}" if math.isfinite(value) else "–"


def count(value: float) -> str:
    """A whole number in at most four letters: 9999, 12k, 3M."""
    for limit, divisor, unit in ((10_000, 1, ""), (1_000_000, 1_000, "k"), (math.inf, 1e6, "M")):
        if value < limit:
            return f"{value / divisor:.0f}{unit}"
    return "∞"


def _rising_recall(figures: ClassFigures) -> tuple[Float64, Float64]:
    """Recall and precision where recall rises, thinned; where it stands still, precision falls."""
    rises = np.flatnonzero(np.diff(figures.recall, prepend=0.0) > 0)
    if len(rises) > POINTS:
        rises = rises[np.linspace(0, len(rises) - 1, POINTS).astype(int)]
    return figures.recall[rises], figures.precision[rises]


def _lines(axes: Axes, lines: Sequence[Series], *, legend: bool) -> None:
    """Lines that differ in colour and, beyond six, in their dashes; a legend if several."""
    styles = [(color, dash) for dash in ("-", (0, (4, 2))) for color in COLORS]
    for (label, x, y), (color, dash) in zip(lines, cycle(styles), strict=False):
        axes.plot(x, y, color=color, linestyle=dash, linewidth=1.8, label=label, clip_on=False)
    if legend and len(lines) > 1:
        axes.figure.legend(loc="outside lower center", ncols=3)


def _with_legend(classes: Sequence[ClassFigures]) -> tuple[float, float]:
    rows = math.ceil(len(classes) / 3) if len(classes) > 1 else 0
    return SIZE[0], SIZE[1] + 0.2 * rows


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid()


def _names(classes: Sequence[ClassFigures]) -> str:
    return ", ".join(f"{c.name} (AP50 {number(c.ap50)})" for c in classes)


def _zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
