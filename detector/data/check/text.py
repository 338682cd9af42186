"""A report for the terminal and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detector.data.check.finding import KINDS, by_kind
from detector.data.check.report import Report

EXAMPLES = 2  # of each kind; the page and the json have all


def as_text(report: Report) -> Iterator[str]:
    """The lines of a report: what there is, then what is odd, gravest first."""
    yield f"{report.data} ({report.format})"
    yield from _splits(report)
    yield ""
    yield from _classes(report)
    if report.fit:
        yield ""
        yield "box side at 300 px     boxes  share  an anchor overlaps by 0.5"
        for row in report.fit:
            px = f"{row.low} to {row.high}" if row.high < 10**6 else f"{row.low} and more"
            span = "all" if row.name == "all" else f"{row.name}, {px}"
            if row.boxes:
                yield f"{span:<20} {row.boxes:>7} {row.share:>6.0%}  {row.recall:.0%} of them"
    else:
        yield "anchors: not judged, that needs torch (pip install 'mobilenet-ssd[train]')"
    yield ""
    yield from _findings(report)


def _splits(report: Report) -> Iterator[str]:
    for name, dataset in report.splits.items():
        boxes = sum(len(example.labels) for example in dataset.examples)
        ignored = sum(int(example.ignore.sum()) for example in dataset.examples)
        empty = sum(not len(example.labels) for example in dataset.examples)
        extra = [f"{empty} without objects"] * bool(empty) + [f"{ignored} to ignore"] * bool(
            ignored
        )
        more = f" ({', '.join(extra)})" if extra else ""
        yield f"  {name:<6} {len(dataset.examples):>7} pictures {boxes:>8} boxes{more}"


def _classes(report: Report) -> Iterator[str]:
    """Counts by class and split, at most 20 classes: the most frequent."""
    names = next(iter(report.splits.values())).class_names
    counts = [dataset.class_counts().tolist() for dataset in report.splits.values()]
    width = max([5, *(len(name) for name in names)])
    width = min(width, 40)
    yield f"{'class':<{width}} " + " ".join(f"{name:>7}" for name in report.splits)
    order = sorted(range(len(names)), key=lambda k: -sum(column[k] for column in counts))
    for k in order[:20]:
        yield f"{names[k][:width]:<{width}} " + " ".join(f"{column[k]:>7}" for column in counts)
    if len(order) > 20:
        yield f"and {len(order) - 20} classes more"


def _findings(report: Report) -> Iterator[str]:
    grouped = by_kind(report.findings)
    if not grouped:
        yield "nothing odd found"
        return
    width = max(len(KINDS[kind].title) for kind in grouped)
    for kind, found in grouped.items():
        severity, title, advice = KINDS[kind]
        yield f"{severity:<8} {len(found):>6}  {title:<{width}}  {advice}"
        for finding in found[:EXAMPLES]:
            yield f"{'':<17} {finding.where}: {finding.message}"
        if len(found) > EXAMPLES:
            yield f"{'':<17} and {len(found) - EXAMPLES} more"
    counts = [
        sum(f.severity == severity for f in report.findings)
        for severity in ("error", "warning", "note")
    ]
    yield ""
    yield f"{counts[0]} errors, {counts[1]} warnings, {counts[2]} notes"


def as_json(report: Report) -> dict[str, Any]:
    """A report as plain values for `json.dumps`; paths relative to the data set where inside."""
    return {
        "data": str(report.data),
        "format": report.format,
        "errors": report.errors,
        "splits": {
            name: {
                "pictures": len(dataset.examples),
                "boxes": sum(len(example.labels) for example in dataset.examples),
                "classes": dict(
                    zip(dataset.class_names, dataset.class_counts().tolist(), strict=True)
                ),
            }
            for name, dataset in report.splits.items()
        },
        "anchors": [row._asdict() for row in report.fit] if report.fit else None,
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "split": finding.split,
                "where": finding.where,
                "message": finding.message,
                "picture": None if finding.path is None else report.show(finding.path),
                "other": None if finding.other is None else report.show(finding.other),
                "boxes": list(finding.boxes),
            }
            for found in by_kind(report.findings).values()
            for finding in found
        ],
    }
