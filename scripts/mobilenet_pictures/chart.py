"""Two axes on a canvas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mobilenet_pictures.canvas import Canvas, Point

Range = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """The plane of a plot: its place on the canvas in pixels, and the values at its edges.

    log_x: x grows by factors.
    """

    canvas: Canvas
    left: float
    top: float
    width: float
    height: float
    x_range: Range
    y_range: Range
    log_x: bool = False

    def place(self, x: float, y: float) -> Point:
        """Where a pair of values lies on the canvas."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        if self.log_x:
            x, x0, x1 = math.log(x), math.log(x0), math.log(x1)
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def axes(
        self, title: str, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str
    ) -> None:
        """A title, which names what goes up; grid lines with their values; the x axis' name."""
        bottom = self.top + self.height
        for tick in y_ticks:
            _, y = self.place(self.x_range[0], tick)
            self.canvas.line([(self.left, y), (self.left + self.width, y)], "line", 1)
            self.canvas.text(self.left - 7, y + 4, f"{tick:g}", color="soft", size=12, anchor="end")
        for tick in x_ticks:
            x, _ = self.place(tick, self.y_range[0])
            self.canvas.line([(x, bottom), (x, bottom + 4)], "soft", 1)
            self.canvas.text(x, bottom + 18, f"{tick:g}", color="soft", size=12, anchor="middle")
        self.canvas.line([(self.left, bottom), (self.left + self.width, bottom)], "soft", 1)
        middle = self.left + self.width / 2
        self.canvas.text(middle, bottom + 36, x_name, color="soft", size=12, anchor="middle")
        self.canvas.text(self.left - 30, self.top - 16, title, bold=True)

    def curve(
        self, points: Iterable[Point], color: str, width: float = 1.8, dash: str = ""
    ) -> None:
        """A line through pairs of values."""
        self.canvas.line([self.place(x, y) for x, y in points], color, width, dash)

    def dots(
        self, points: Iterable[Point], color: str, radius: float = 3, *, hollow: bool = False
    ) -> None:
        """A disc or a ring at each pair of values."""
        for x, y in points:
            self.canvas.dot(*self.place(x, y), color, radius, hollow=hollow)


def key(canvas: Canvas, x: float, y: float, entries: Sequence[tuple[str, str, str]]) -> None:
    """What the marks mean, one below the other: (mark, colour, words).

    mark: "line", "dash", "dot" or "ring".
    """
    for i, (mark, color, words) in enumerate(entries):
        at = y + 18 * i
        if mark in ("line", "dash"):
            canvas.line([(x, at), (x + 18, at)], color, 1.8, "4 3" if mark == "dash" else "")
        else:
            canvas.dot(x + 9, at, color, 4, hollow=mark == "ring")
        canvas.text(x + 25, at + 4, words, size=12)
