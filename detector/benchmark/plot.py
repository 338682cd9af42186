"""Accuracy against latency, or latency alone, as a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from detector.benchmark.figures import Row
from detector.data.account import counted
from detector.evaluation.svg import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    SETTINGS,
    SOFT,
    VERMILION,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = {
    "openvino": BLUE,
    "onnxruntime": ORANGE,
    "opencv": GREEN,
    "torch": VERMILION,
    "torch-compile": PURPLE,
}
MARKER = {"float": "o", "int8": "s"}
LEGEND_COLUMNS = 4
DPI = 150


def draw_networks(rows: Sequence[Row], title: str, form: str) -> bytes:
    """A picture file, form "png" or "svg": AP against latency where AP is known, else latency.

    rows: at least one that ran.
    """
    ran = [row for row in rows if row.timed is not None]
    if judged := [row for row in ran if row.ap is not None]:
        return _picture(lambda axes: _scatter(axes, judged), title, (8.0, 5.0), form)
    return _picture(lambda axes: _bars(axes, ran), title, (9.0, 1.3 + 0.3 * len(ran)), form)


def draw_video(per_second: Mapping[str, Sequence[float]], title: str, form: str) -> bytes:
    """A picture file of frames a second: the median of the rounds, the lowest and the highest."""

    def draw(axes: Axes) -> None:
        names = list(per_second)
        values = [sorted(each) for each in per_second.values()]
        middles = [median(each) for each in values]
        reach = [
            [middle - each[0] for each, middle in zip(values, middles, strict=True)],
            [each[-1] - middle for each, middle in zip(values, middles, strict=True)],
        ]
        axes.barh(names, middles, xerr=reach, color=BLUE, height=0.6, error_kw={"ecolor": INK})
        _label(axes, middles, [each[-1] for each in values], ".0f")
        axes.set_xlabel("frames a second; the line spans all rounds")

    return _picture(draw, title, (9.0, 1.3 + 0.3 * len(per_second)), form)


def _picture(
    draw: Callable[[Axes], None], title: str, size: tuple[float, float], form: str
) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    content = io.BytesIO()
    with rc_context({**SETTINGS, "svg.hashsalt": "benchmark"}):
        figure = Figure(size, dpi=DPI, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        # No date: the same figures give the same file.
        figure.savefig(content, format=form, metadata={"Date": None} if form == "svg" else {})
    return content.getvalue()


def _scatter(axes: Axes, rows: Sequence[Row]) -> None:
    """Each setup a dot: colour by engine, shape by precision, hollow with fewer threads."""
    from matplotlib.lines import Line2D

    most = max(row.setup.threads for row in rows)
    sized = len({row.setup.size for row in rows}) > 1
    named: dict[str, Line2D] = {}
    for row in rows:
        setup, ap = row.setup, row.ap
        assert row.timed is not None
        assert ap is not None
        color, marker, ms = COLOR[setup.engine], MARKER[setup.precision], row.timed.ms
        face = color if setup.threads == most else PAPER
        axes.plot([ms.low, ms.high], [ap, ap], color=color, linewidth=1, alpha=0.5)
        axes.plot(ms.middle, ap, marker, color=color, markerfacecolor=face, markersize=9)
        dot = Line2D([], [], linestyle="", marker=marker, color=color, markersize=9)
        named[f"{setup.engine}, {setup.precision}"] = dot
        if sized and setup.engine == rows[0].setup.engine:
            text, above = f"{setup.size} px", (0, 9)
            axes.annotate(
                text, (ms.middle, ap), above, textcoords="offset points", ha="center", color=SOFT
            )
    _logarithmic(axes)
    axes.set_xlabel(f"ms a frame; filled: {counted(most, 'thread')}; lines span p5 to p95")
    axes.set_ylabel("AP")
    axes.grid()
    axes.margins(y=0.15)
    axes.set_ylim(bottom=max(-1.0, axes.get_ylim()[0]))
    axes.figure.legend(
        *(list(named.values()), list(named)), loc="outside lower left", ncols=LEGEND_COLUMNS
    )


def _logarithmic(axes: Axes) -> None:
    """Times on a logarithmic axis with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    """A bar for each setup: the median, with a line from p5 to p95."""
    names, middles, lows, highs = [], [], [], []
    for row in rows:
        setup, timed = row.setup, row.timed
        assert timed is not None
        threads = counted(setup.threads, "thread")
        names.append(f"{setup.engine}, {setup.precision}, {threads}, {setup.size} px")
        middles.append(timed.ms.middle)
        lows.append(timed.ms.middle - timed.ms.low)
        highs.append(timed.ms.high - timed.ms.middle)
    colors = [COLOR[row.setup.engine] for row in rows]
    reach = [lows, highs]
    axes.barh(names, middles, xerr=reach, color=colors, height=0.6, error_kw={"ecolor": INK})
    ends = [middle + high for middle, high in zip(middles, highs, strict=True)]
    _label(axes, middles, ends, ".1f")
    axes.set_xlabel("ms a frame, median; the line spans p5 to p95")


def _label(axes: Axes, middles: Sequence[float], ends: Sequence[float], form: str) -> None:
    """Figures behind bars, the first bar on top."""
    for place, (middle, end) in enumerate(zip(middles, ends, strict=True)):
        text = format(middle, form)
        at = (min(end, 1.25 * max(middles)), place)
        paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}  # over a line cut short
        axes.annotate(text, at, (5, 0), textcoords="offset points", va="center", bbox=paper)
    axes.invert_yaxis()
    axes.set_xlim(0, min(1.1 * max(ends), 1.4 * max(middles)))  # one bad round may reach far
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
