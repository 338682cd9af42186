"""report.html: one page about a run that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from detector.evaluation.curves import over_steps
from detector.evaluation.page import sections
from detector.evaluation.svg import number, themed
from detector.page import card, command, facts, grid, section, table, write_page
from detector.training.artefacts import ModelFile
from detector.training.history import Curves

REPORT = "report.html"
FILES = (
    "Average precision in percent on the validation pictures, of the files as the runtime runs "
    "them; milliseconds a picture for the network alone, on the machine that trained it. The int8 "
    "file is the faster one where the CPU has instructions for it."
)
HEADS = ("file", "size", "a picture", "AP", "AP50", "AP75")
SMOOTHED = 50  # the share of a run that a point of its losses is the mean of: one in so many


def write_report(
    folder: Path,
    title: str,
    commands: tuple[str, str],
    about: Mapping[str, str],
    files: Sequence[ModelFile],
    curves: Curves,
) -> Path:
    """Write the page and return its path. commands: that made the run, and that tries it.

    files: the first is the one that the command tries, and whose analysis is shown.
    """
    made, tried = commands
    chosen = files[0]
    body = (
        _next_steps(tried, chosen)
        + section("Model files", table(HEADS, map(_file_row, files), "Model files"), FILES)
        + _training(curves)
        + sections(chosen.measured.analysis)
        + section("The run", facts(about) + "<p>Made by:</p>" + command(made))
    )
    pictures = chosen.measured.analysis.pictures
    subtitle = f"Judged by {chosen.path.name} on {pictures:,} validation pictures"
    path = folder / REPORT
    write_page(path, title, body, subtitle=subtitle, option="train:")
    return path


def _next_steps(tried: str, chosen: ModelFile) -> str:
    """What to do with what the run left."""
    name = escape(chosen.path.name)
    words = (
        f"<p>{name} needs no other file, and holds the class names and the score threshold that "
        "the demo starts with. To make it better, look at the worst pictures at the end of this "
        "page: correct labels that are wrong, and add pictures like those it fails on.</p>"
    )
    return section("Try it", command(tried) + words)


def _file_row(file: ModelFile) -> list[str]:
    figures = file.measured.analysis.figures
    return [
        escape(file.path.name),
        f"{file.size / 1e6:.1f} MB",
        f"{file.measured.latency_ms:.1f} ms",
        *(number(figures[name]) for name in HEADS[3:]),
    ]


def _training(curves: Curves) -> str:
    """Losses and AP over the steps; '' for a run too short to draw."""
    cards = []
    if len(curves.losses) > 1:
        steps, *losses = (np.array(column, float) for column in zip(*curves.losses, strict=True))
        window = max(1, len(steps) // SMOOTHED)
        lines = [
            (name, steps, smoothed(values, window))
            for name, values in zip(("class", "box"), losses, strict=True)
        ]
        reading = "How far the network is from the labels it learns from: falling is learning."
        drawn = themed(over_steps(lines, "loss", "losses", logarithmic=True))
        cards.append(card("Losses", drawn, reading))
    if len(curves.measured) > 1:
        steps, ap, ap50 = (np.array(column, float) for column in zip(*curves.measured, strict=True))
        lines = [("AP50", steps, ap50), ("AP", steps, ap)]
        reading = "Measured on the validation pictures now and then; the best network was kept."
        drawn = themed(over_steps(lines, "percent", "progress"))
        cards.append(card("Average precision", drawn, reading))
    return section("Training", grid(cards)) if cards else ""


def smoothed(values: np.ndarray[Any, Any], window: int) -> np.ndarray[Any, Any]:
    """Mean over the last `window` values, fewer at the beginning: same length."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))
