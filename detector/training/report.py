"""report.html: one page about a run that needs nothing but itself."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.outfile import write_whole
from detector.training.artefacts import ModelFile
from detector.training.history import Curves

REPORT = "report.html"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #ddd; }
.wide { overflow-x: auto; } svg { max-width: 100%; height: auto; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; }
"""


def write_report(
    folder: Path,
    title: str,
    commands: Sequence[str],
    facts: Mapping[str, str],
    files: Sequence[ModelFile],
    curves: Curves,
) -> Path:
    """Write the page. commands: that made the run, and that tries it. Returns its path."""
    made, tried = (html.escape(command) for command in commands)
    rows = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in facts.items()
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>
<body><h1>{html.escape(title)}</h1>
<div class="wide">{_file_table(files)}</div>
<p>Average precision in percent on the validation pictures, by pycocotools, of the files as the
runtime runs them; milliseconds a picture for the network alone, on the machine that trained it.</p>
<p>Try it:</p><pre>{tried}</pre>
{_plot_losses(curves)}{_plot_ap(curves)}
<h2>The run</h2><div class="wide"><table>{rows}</table></div>
<p>Made by:</p><pre>{made}</pre>
</body></html>
"""
    path = folder / REPORT
    write_whole(path, page.encode(), "train:")
    return path


def _file_table(files: Sequence[ModelFile]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(f.path.name)}</td><td>{f.size / 1e6:.1f} MB</td>"
        f"<td>{f.measured.latency_ms:.1f} ms</td><td>{f.measured.figures['AP']:.1f}</td>"
        f"<td>{f.measured.figures['AP50']:.1f}</td><td>{f.measured.figures['AP75']:.1f}</td></tr>"
        for f in files
    )
    heads = ("file", "size", "a picture", "AP", "AP50", "AP75")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _plot_losses(curves: Curves) -> str:
    """Losses over steps as SVG; '' for a run too short to draw."""
    if len(curves.losses) < 2:
        return ""
    steps, *losses = (np.array(column, float) for column in zip(*curves.losses, strict=True))
    figure, axes = _axes("step", "loss")
    for name, values in zip(("class", "box"), losses, strict=True):
        axes.plot(steps, smoothed(values, max(1, len(values) // 50)), label=name)
    axes.set_yscale("log")
    axes.legend()
    return "<h2>Losses</h2>" + _svg(figure)


def _plot_ap(curves: Curves) -> str:
    """AP over steps as SVG; '' for a run measured once."""
    if len(curves.measured) < 2:
        return ""
    steps, ap, ap50 = zip(*curves.measured, strict=True)
    figure, axes = _axes("step", "percent")
    axes.plot(steps, ap50, marker="o", label="AP50")
    axes.plot(steps, ap, marker="o", label="AP")
    axes.set_ylim(0, 100)
    axes.legend()
    return "<h2>Average precision on validation pictures</h2>" + _svg(figure)


def smoothed(values: np.ndarray[Any, Any], window: int) -> np.ndarray[Any, Any]:
    """Mean over the last `window` values, fewer at the beginning: same length."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))


def _axes(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")  # no pyplot: it asks for a screen
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
