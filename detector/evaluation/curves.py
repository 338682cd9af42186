"""An analysis as curves: each takes figures and gives one `Plot`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from detector.evaluation.analysis import ClassFigures, Float64
from detector.evaluation.svg import BLUE, COLORS, INK, ORANGE, SIZE, SOFT, Plot, number, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 200  # of a curve, at most
Series = tuple[str, Float64, Float64]  # a name, x and y


def precision_recall(classes: Sequence[ClassFigures], name: str = "pr") -> Plot:
    """Precision against recall at IoU 0.5, a line a class."""

    def draw(axes: Axes) -> None:
        _unit_square(axes, "recall", "precision")
        lines = [(f"{short(c.name)} {number(c.ap50)}", *_rising_recall(c)) for c in classes]
        _lines(axes, lines, legend=True)

    return Plot(draw, _with_legend(classes), name, f"Precision and recall: {_names(classes)}")


def f1_by_threshold(classes: Sequence[ClassFigures], threshold: float, name: str = "f1") -> Plot:
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
    return Plot(draw, _with_legend(classes), name, alt)


def reliability(bins: Float64) -> Plot:
    """Share of detections that are right against their mean score; bins (B, 3) as in Analysis."""
    kept = bins[bins[:, 2] > 0]

    def draw(axes: Axes) -> None:
        _unit_square(axes, "score", "share that is right")
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
        axes.plot(kept[:, 0], kept[:, 1], color=BLUE, marker="o", clip_on=False)

    alt = "; ".join(f"score {x:.2f}: {y:.0%} right" for x, y, _ in kept.tolist())
    return Plot(draw, SIZE, "reliability", f"Reliability: {alt}")


def over_steps(lines: Sequence[Series], y: str, name: str, *, logarithmic: bool = False) -> Plot:
    """Curves over a run's steps; marked at its points where these are few. y: what they show."""

    def draw(axes: Axes) -> None:
        few = max(len(values) for _, _, values in lines) <= 30
        for (label, steps, values), color in zip(lines, (BLUE, ORANGE), strict=False):
            axes.plot(steps, values, color=color, label=label, marker="o" if few else None)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", integer=True)
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
    return Plot(draw, SIZE, name, f"{y} over the steps of the run: {ends}")


def f1_curve(figures: ClassFigures) -> tuple[Float64, Float64]:
    """Score thresholds from 0 to 1 and the F1 at each: all of at least that score are taken."""
    thresholds = np.linspace(0, 1, POINTS + 1)
    both = figures.precision + figures.recall
    f1 = np.divide(
        2 * figures.precision * figures.recall, both, np.zeros_like(both), where=both > 0
    )
    taken = np.searchsorted(-figures.scores, -thresholds, side="right")  # how many, best first
    return thresholds, np.concatenate([[0.0], f1])[taken]


def _rising_recall(figures: ClassFigures) -> tuple[Float64, Float64]:
    """Recall, from 0 on, and precision: where recall rises (elsewhere precision falls), thinned."""
    rises = np.flatnonzero(np.diff(figures.recall, prepend=0.0) > 0)
    if len(rises) > POINTS:
        rises = rises[np.linspace(0, len(rises) - 1, POINTS).astype(int)]
    precision = figures.precision[rises]
    if len(rises) == 0:
        return rises.astype(np.float64), precision
    return np.append(0.0, figures.recall[rises]), np.append(precision[0], precision)


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
