"""An SVG written by hand: a few shapes, and text that any page shows, light or dark.

No plotting library, so the same counts give the same bytes whatever is installed. Each picture has
a sheet of its own behind it: it is readable on any page, and dark where the reader's system is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from detector.evaluation.svg import BLUE, GREEN, INK, LINE, ORANGE, PAPER, PURPLE, SOFT, VERMILION

Point = tuple[float, float]

# name: (on light, on dark). The colours are told apart by those who do not see red and green alike.
PALETTE = {
    "paper": (PAPER, "#161b22"),
    "ink": (INK, "#e6edf3"),
    "soft": (SOFT, "#9aa5b1"),
    "line": (LINE, "#3d444d"),
    "blue": (BLUE, "#4aa8e0"),
    "orange": (ORANGE, "#e69f00"),
    "green": (GREEN, "#2fbf91"),
    "red": (VERMILION, "#f0803c"),
    "purple": (PURPLE, "#d58fb5"),
}
FONT = "font-family=\"'Helvetica Neue',Arial,'Liberation Sans',sans-serif\""
# What the drawing code writes in ASCII.
GLYPHS = {
    r"\balpha\b": "\N{GREEK SMALL LETTER ALPHA}",
    r"\brho\b": "\N{GREEK SMALL LETTER RHO}",
    r"\bn_c'": "n_c\N{PRIME}",
    r"(?<=[K\d])( ?)x( ?)(?=[K\d])": "\\1\N{MULTIPLICATION SIGN}\\2",
    r"\^2": "\N{SUPERSCRIPT TWO}",
    r"\*": "\N{MIDDLE DOT}",
}


class Canvas:
    """A sheet of `width` x `height` pixels, y downwards. alt: what it shows, in words."""

    def __init__(self, width: int, height: int, alt: str) -> None:
        self.width, self.height, self.alt = width, height, alt
        self._parts: list[str] = []
        self.rect(0.5, 0.5, width - 1, height - 1, "paper", edge="line", corner=8)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        *,
        edge: str = "",
        corner: float = 0,
        opacity: float = 1,
    ) -> None:
        """A rectangle, filled, edged or both."""
        extra = f' rx="{corner:g}"' if corner else ""
        extra += f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
        where = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        names = " ".join(
            n for n in (f"f-{fill}" if fill != "none" else "f", edge and f"s-{edge}") if n
        )
        self._parts.append(f'<rect {where} class="{names}"{extra}/>')

    def line(
        self, points: Iterable[Point], color: str = "ink", width: float = 1.2, dash: str = ""
    ) -> None:
        """A line through points."""
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self.path(path, color, width, dash)

    def path(self, path: str, color: str = "ink", width: float = 1.2, dash: str = "") -> None:
        """An SVG path, not filled."""
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<path d="{path}" class="f s-{color}" stroke-width="{width:g}"{extra}/>'
        )

    def arrow(self, start: Point, end: Point, color: str = "soft") -> None:
        """A line with a small head, to the right or downwards."""
        (x0, y0), (x1, y1) = start, end
        self.line([start, end], color)
        wings = [(x1 - 5, y1 - 3), end, (x1 - 5, y1 + 3)]
        if abs(y1 - y0) > abs(x1 - x0):
            wings = [(x1 - 3, y1 - 5), end, (x1 + 3, y1 - 5)]
        self.line(wings, color)

    def dot(
        self, x: float, y: float, color: str, radius: float = 3, *, hollow: bool = False
    ) -> None:
        """A disc, or a ring."""
        kind = f"f-paper s-{color}" if hollow else f"f-{color}"
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{radius:g}" class="{kind}"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        color: str = "ink",
        size: int = 13,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """A line of text on its baseline. anchor: "start", "middle" or "end"."""
        extra = ' font-weight="bold"' if bold else ""
        extra += f' text-anchor="{anchor}"' if anchor != "start" else ""
        where = f'x="{_n(x)}" y="{_n(y)}" font-size="{size}"'
        self._parts.append(f'<text {where} class="f-{color}"{extra}>{_glyphs(words)}</text>')

    def svg(self) -> bytes:
        """The file."""
        size = (
            f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        )
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {FONT}>'
        title = f"<title>{escape(self.alt)}</title>"
        return "\n".join([head, title, _style(), *self._parts, "</svg>", ""]).encode()


def _style() -> str:
    """Colours as classes, and other ones where the reader's system is dark."""
    looks = [
        "".join(f".f-{n}{{fill:{c[i]}}}.s-{n}{{stroke:{c[i]}}}" for n, c in PALETTE.items())
        for i in (0, 1)
    ]
    return (
        f"<style>.f{{fill:none}}{looks[0]}@media(prefers-color-scheme:dark){{{looks[1]}}}</style>"
    )


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel: the same on every machine."""
    return f"{round(value, 1) + 0.0:g}"


def _glyphs(words: str) -> str:
    """ASCII into signs, and the c of n_c into an index."""
    words = escape(words, quote=False)
    for plain, glyph in GLYPHS.items():
        words = re.sub(plain, glyph, words)
    first, *rest = words.split("n_c")
    index = '<tspan dy="3" font-size="70%">c</tspan>'
    return first + "".join(
        f'n{index}<tspan dy="-3">{piece}</tspan>' if piece else f"n{index}" for piece in rest
    )
