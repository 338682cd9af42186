"""A report as one HTML page that needs nothing else: styles and pictures are inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from detector.colors import class_color
from detector.data.check.finding import KINDS, Finding, by_kind
from detector.data.check.report import Report
from detector.data.check.sheet import thumbnail
from detector.data.example import Example
from detector.errors import DetectorError
from detector.page import page, photo, section, swatch, table, tiles

SHOWN, LISTED, SAMPLES = 8, 200, 12  # of each kind with pictures, of each kind at all, by chance
SIDE = 360
SAMPLES_READING = (
    "A few pictures by chance, boxes in the colours of the table above, boxes to ignore gray."
)


def as_page(report: Report) -> str:
    """The whole page."""
    pictures = sum(len(dataset.examples) for dataset in report.splits.values())
    boxes = sum(len(e.labels) for dataset in report.splits.values() for e in dataset.examples)
    counts = [("pictures", pictures), ("boxes", boxes)]
    counts += [(name, len(dataset.examples)) for name, dataset in report.splits.items()]
    for severity in ("error", "warning", "note"):
        counts.append((f"{severity}s", sum(f.severity == severity for f in report.findings)))
    body = (
        tiles((name, f"{n:,}") for name, n in counts)
        + section("Found", _findings(report))
        + section("Classes", _classes(report))
        + section("Sizes, and what the anchors can match", _anchors(report))
        + section("Do the labels look right?", _samples(report), SAMPLES_READING)
    )
    title = f"{report.data.name or report.data}: data check"
    return page(title, body, f"{report.data} · {report.format}")


def _findings(report: Report) -> str:
    examples = {e.path: e for dataset in report.splits.values() for e in dataset.examples}
    parts = []
    for kind, found in by_kind(report.findings).items():
        severity, title, advice = KINDS[kind]
        # One picture with thirty bad boxes should not hide the other pictures.
        first = {finding.path: finding for finding in reversed(found) if finding.path}
        shown = [f for f in found if f.path and first[f.path] is f][:SHOWN]
        figures = [_figure(report, finding, examples) for finding in shown]
        gallery = f'<div class="gallery">{"".join(figures)}</div>' if figures else ""
        parts.append(
            f'<article class="card {severity}"><span class="badge">{severity}</span> '
            f"<h3>{len(found):,} &times; {escape(title)}</h3><p>{escape(advice)}</p>"
            f"{gallery}{_list([f for f in found if f not in shown])}</article>"
        )
    return "".join(parts) or "<p>Nothing odd.</p>"


def _list(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = [f"<li>{escape(f'{f.where}: {f.message}')}</li>" for f in findings[:LISTED]]
    if len(findings) > LISTED:
        rows.append(f"<li>and {len(findings) - LISTED:,} more (--json has all)</li>")
    listing = f"<ul>{''.join(rows)}</ul>"
    if len(findings) <= 5:
        return listing
    return f"<details><summary>{len(findings):,} more</summary>{listing}</details>"


def _figure(report: Report, finding: Finding, examples: dict[Path, Example]) -> str:
    images = []
    for path in (finding.path, finding.other):
        if path is not None:
            marked = finding.boxes if path == finding.path else ()
            images.append(_image(path, examples.get(path), marked))
    split = f" · {finding.split}" if finding.split else ""
    return (
        f"<figure><div>{''.join(images)}</div><figcaption><b>{escape(finding.where)}</b>"
        f"{escape(split)}<br>{escape(finding.message)}</figcaption></figure>"
    )


def _image(path: Path, example: Example | None, marked: Sequence[int]) -> str:
    """An img tag; words for a picture that cannot be read, which the report says anyway."""
    try:
        return photo(thumbnail(path, example, marked, SIDE), path.name)
    except DetectorError:
        return "<span>cannot be shown</span>"


def _classes(report: Report) -> str:
    names = next(iter(report.splits.values())).class_names
    counts = [dataset.class_counts().tolist() for dataset in report.splits.values()]
    total = [sum(column[k] for column in counts) for k in range(len(names))]
    rows = []
    for k in sorted(range(len(names)), key=lambda k: -total[k]):
        bar = f'<i class="bar" style="width:{100 * total[k] / max(1, *total):.1f}%"></i>'
        cells = [f"{column[k]:,}" for column in counts]
        rows.append([swatch(class_color(k)) + escape(names[k]), *cells, bar])
    return table(["class", *report.splits, "all"], rows, "Boxes of each class")


def _anchors(report: Report) -> str:
    if not report.fit:
        return "<p>Not judged: that needs torch (the train extra).</p>"
    rows = []
    for row in report.fit:
        px = f"{row.low} to {row.high} px" if row.high < 10**6 else f"{row.low} px and more"
        name = "all" if row.name == "all" else f"{row.name}, {px}"
        fit = (f"{row.recall:.0%}", f"{row.mean_iou:.2f}") if row.boxes else ("", "")
        rows.append([name, f"{row.boxes:,}", f"{row.share:.0%}", *fit])
    heads = ("side at 300 px", "boxes", "share", "overlap of 0.5 possible", "mean best overlap")
    return table(heads, rows, "Boxes by size")


def _samples(report: Report) -> str:
    everything = [(split, e) for split, dataset in report.splits.items() for e in dataset.examples]
    chosen = np.random.default_rng(0).permutation(len(everything))[:SAMPLES]
    figures = []
    for split, example in (everything[i] for i in chosen):
        image = _image(example.path, example, ())
        caption = f"{report.show(example.path)} · {split} · boxes: {len(example.labels)}"
        figures.append(
            f"<figure><div>{image}</div><figcaption>{escape(caption)}</figcaption></figure>"
        )
    return f'<div class="gallery">{"".join(figures)}</div>'
