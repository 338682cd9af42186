"""Matplotlib's figures as SVG that fits into a page, light or dark, and as files of their own."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from detector.page import printable

# Colours that a page replaces by its own, so that a plot follows its light or dark look.
INK, SOFT, LINE, PAPER = "#1d2126", "#5b6672", "#d9dee4", "#ffffff"
_THEME = {INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)", PAPER: "var(--paper)"}
# Okabe and Ito, "Color Universal Design" (2008), without its yellow and black, which vanish on
# white and on dark paper.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    *("#0072b2", "#e69f00", "#009e73"),
    *("#d55e00", "#cc79a7", "#56b4e9"),
)
COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
SIZE = (5.0, 3.7)  # inches; beside another on a desk, alone on a phone
DASH = "\N{EN DASH}"  # no such figure
DPI = 200  # of PNG files
NAME = 18  # letters of a class name
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: small, and any script shows that the reader's fonts have
    "text.parse_math": False,  # a class may be called "$"
    "font.size": 11,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


@dataclass(frozen=True)
class Plot:
    """One figure. draw: fills the axes it is given (an `Axes`).

    size: inches, at 72 units an inch. name: unlike those of other plots on the page, for ids must
    be. alt: what it shows, for those who hear the page.
    """

    draw: Callable[..., None]
    size: tuple[float, float]
    name: str
    alt: str

    @cached_property  # drawn once, for the page and the file
    def svg(self) -> str:
        """As an <svg> element."""
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        svg = self._saved(format="svg", metadata=nothing).decode()
        used = set(re.findall(r"#([\w-]+)[)\"]", svg))
        svg = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", svg)
        title = f'role="img" aria-label="{escape(printable(self.alt))}"'
        return svg[svg.index("<svg") :].replace("<svg", f"<svg {title}", 1)

    def png(self) -> bytes:
        """As the contents of a PNG file."""
        return self._saved(format="png", dpi=DPI)

    def _saved(self, **how: Any) -> bytes:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        content = io.BytesIO()
        settings = {**SETTINGS, "svg.hashsalt": self.name}
        with rc_context(settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's fonts draw it
            figure = Figure(figsize=self.size, layout="constrained")  # no pyplot: it needs a screen
            self.draw(figure.subplots())
            figure.savefig(content, **how)
        return content.getvalue()


def themed(plot: Plot) -> str:
    """A plot as an <svg> element that takes the colours of the page it stands in."""
    svg = plot.svg
    for color, variable in _THEME.items():
        svg = svg.replace(f": {color}", f": {variable}")
    return svg


def standalone(plot: Plot) -> bytes:
    """A plot as the contents of an SVG file."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{plot.svg}'.encode()


def short(name: str) -> str:
    """A class name for a plot: one line, not too long; a leading "_" would hide it there."""
    name = printable(name) or "(no name)"
    name = name if len(name) <= NAME else name[: NAME - 1] + "…"
    return f" {name}" if name.startswith("_") else name


def number(value: float) -> str:
    """A percentage with one digit; a dash for nan."""
    return f"{value:.1f}" if math.isfinite(value) else DASH


def count(value: float) -> str:
    """A whole number in at most four letters: 9999, 12k, 3M."""
    for limit, divisor, unit in ((10_000, 1, ""), (1_000_000, 1_000, "k"), (math.inf, 1e6, "M")):
        if value < limit:
            return f"{value / divisor:.0f}{unit}"
    return "∞"
