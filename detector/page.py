"""HTML pages that need nothing but themselves: one frame, one look, for every report."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from detector.outfile import write_whole

STYLE = Path(__file__).parent / "assets" / "page.css"


def write_page(
    path: Path, title: str, body: str, *, subtitle: str = "", option: str = "--out"
) -> None:
    """Write a whole page. title, subtitle: plain text. body: HTML, most of it from `section`.

    Raises DetectorError, naming `option`, when the file cannot be written.
    """
    write_whole(path, page(title, body, subtitle).encode(), option)


def page(title: str, body: str, subtitle: str = "") -> str:
    """The page as text, with links to the body's sections when there are several."""
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body)
    links = "".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading in headings)
    nav = f'<nav aria-label="Contents">{links}</nav>' if len(headings) > 2 else ""
    under = f'<p class="soft">{escape(subtitle)}</p>' if subtitle else ""
    whole = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(printable(title))}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header><h1>{escape(printable(title))}</h1>{under}</header>
{nav}
{body}
</main>
</body>
</html>
"""
    # A file name that is not UTF-8 holds what no page can: it is shown as an escape.
    return whole.encode(errors="backslashreplace").decode()


def section(heading: str, content: str, reading: str = "") -> str:
    """A part of the page. heading: plain text. reading: how to read it. content: HTML."""
    anchor = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
    title = f'<h2 id="{anchor}">{escape(heading)}</h2>'
    return f"<section>{title}{_soft(reading)}{content}</section>\n"


def card(heading: str, content: str, reading: str = "") -> str:
    """A framed part of a section; several stand side by side in `grid`."""
    return f'<article class="card"><h3>{escape(heading)}</h3>{_soft(reading)}{content}</article>\n'


def grid(cards: Iterable[str]) -> str:
    """Cards side by side, one under the other on a phone."""
    return f'<div class="grid">{"".join(cards)}</div>'


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Large figures with a word (name, figure) each, plain text."""
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b> {escape(name)}</div>' for name, value in figures
    )
    return f'<div class="tiles">{shown}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    """A table that scrolls when it is too wide or too long.

    heads: plain text. rows: cells of HTML, the first names its row. label: what it shows, for
    those who hear the page.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>\n'
        for row in rows
    )
    name = escape(label)
    return (
        f'<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def swatch(color: tuple[int, int, int] | str) -> str:
    """A small square of a colour: blue, green, red in 0..255, or as CSS writes it."""
    if not isinstance(color, str):
        color = f"rgb({color[2]},{color[1]},{color[0]})"
    return f'<i class="swatch" style="background:{color}"></i>'


def facts(named: Mapping[str, str]) -> str:
    """Facts by name, plain text, as a table without headings."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(fact)}</td></tr>'
        for name, fact in named.items()
    )
    return f'<div class="scroll"><table class="facts"><tbody>{rows}</tbody></table></div>'


def command(line: str) -> str:
    """A command to copy."""
    return f"<pre><code>{escape(line)}</code></pre>"


def photo(image_bgr: npt.NDArray[np.uint8], alt: str, quality: int = 80) -> str:
    """A picture (H, W, 3) inside the page, as JPEG. alt: what it shows, plain text."""
    jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    data = base64.b64encode(jpeg).decode("ascii")
    height, width = image_bgr.shape[:2]
    size = f'width="{width}" height="{height}"'
    return f'<img alt="{escape(alt)}" {size} src="data:image/jpeg;base64,{data}">'


def printable(text: str) -> str:
    """One line without characters that HTML and SVG forbid."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>' if text else ""
