"""An analysis and a comparison as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from detector.evaluation.analysis import Analysis
from detector.evaluation.compare import ENOUGH, SURE, Difference
from detector.evaluation.table import about_crowds

COLUMNS = ("AP", "AP50", "AR", "F1", "from score", "labelled", "found")


def analysis_lines(analysis: Analysis) -> list[str]:
    """Figures, then classes by falling AP (those without boxes are counted), then mistakes."""
    lines = [f"{name:<22}{number(v):>7}" for name, v in analysis.figures.items()]
    lines += [f"{name:<22}{number(v):>7}" for name, v in analysis.voc.items()]
    lines += ["", about_crowds(analysis.crowded)] if analysis.crowded else []
    known = sorted((c for c in analysis.classes if c.truths), key=lambda c: -c.ap)
    width = max([len(c.name) for c in known] + [20]) + 2
    lines += ["", " " * width + "".join(f"{name:>11}" for name in COLUMNS)]
    for c in known:
        cells = [number(c.ap), number(c.ap50), number(c.ar), number(100 * c.best_f1)]
        cells += [f"{c.best_threshold:.2f}", f"{c.truths:,}", f"{c.found:,}"]
        lines.append(f"{c.name:<{width}}" + "".join(f"{cell:>11}" for cell in cells))
    if absent := len(analysis.classes) - len(known):
        lines.append(f"{absent} more classes have no boxes in these pictures")
    lines += ["", f"best F1 of all classes together: from score {analysis.threshold:.2f}"]
    lines.append("AP50 points that mistakes cost:")
    ranked = sorted(analysis.costs.items(), key=lambda item: -item[1])
    return lines + [f"  {name:<20}{number(cost):>7}" for name, cost in ranked]


def comparison_lines(differences: Mapping[str, Difference], a: str, b: str) -> list[str]:
    """AP and AP50, then the classes that surely changed; a, b: what the two are called."""
    overall = {k: d for k, d in differences.items() if k in ("AP", "AP50")}
    classes = {k: d for k, d in differences.items() if k not in overall}
    sure = sorted((i for i in classes.items() if i[1].sure), key=lambda i: i[1].a - i[1].b)
    shown = {**overall, **dict(sure)}
    width = max(map(len, shown)) + 2
    lines = [f"A: {a}", f"B: {b}", f"{'':<{width}}{'A':>8}{'B':>8}{'B - A':>8}   {SURE} % interval"]
    for name, d in shown.items():
        lines.append(
            f"{name:<{width}}{number(d.a):>8}{number(d.b):>8}{d.b - d.a:>+8.2f}"
            f"   {d.low:+.2f} .. {d.high:+.2f}  {verdict(d)}"
        )
    judged = [d for d in classes.values() if d.enough]
    lines.append(
        f"{len(judged) - len(sure)} of {len(judged)} classes: may be chance, as is about one in "
        f"{100 // (100 - SURE)} of the sure ones"
    )
    if few := len(classes) - len(judged):
        lines.append(f"{few} more classes are in fewer than {ENOUGH} pictures: too few to tell")
    return lines


def figures_lines(
    a: Mapping[str, float], b: Mapping[str, float], names: Sequence[str]
) -> list[str]:
    """Figures that two metrics.json have in common, without intervals. names: of the two files."""
    shared = [name for name in a if name in b and not (math.isnan(a[name]) or math.isnan(b[name]))]
    width = max(map(len, [*shared, "AP"])) + 2
    lines = [f"A: {names[0]}", f"B: {names[1]}", f"{'':<{width}}{'A':>8}{'B':>8}{'B - A':>8}"]
    lines += [
        f"{name:<{width}}{number(a[name]):>8}{number(b[name]):>8}{b[name] - a[name]:>+8.2f}"
        for name in shared
    ]
    if apart := len({*a, *b}) - len(shared):
        lines.append(f"{apart} more figures are known of one of the two only, or of none")
    return [
        *lines,
        "Detections are not kept with these figures, so nothing tells progress from chance, nor "
        "whether the pictures were the same: `detector evaluate --out` of both does",
    ]


def verdict(difference: Difference) -> str:
    """What the pictures allow one to say."""
    if not difference.enough:
        return "too few pictures to tell"
    if not difference.sure:
        return "may be chance"
    return "better" if difference.low > 0 else "worse"


def number(value: float) -> str:
    """Two digits; a dash for what is not known."""
    return "-" if math.isnan(value) else f"{value:.2f}"
