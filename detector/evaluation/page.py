"""An analysis as sections of a page: tables, plots and pictures, each with how to read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from detector.colors import class_color
from detector.evaluation import charts, curves
from detector.evaluation.analysis import Analysis, ClassFigures
from detector.evaluation.coco import FIGURES as COCO_FIGURES
from detector.evaluation.mixed_up import mix_ups, most_mixed_up
from detector.evaluation.pictures import KINDS, worst_pictures
from detector.evaluation.svg import DASH, Plot, number, standalone, themed
from detector.evaluation.table import about_crowds
from detector.evaluation.voc import FIGURES as VOC_FIGURES
from detector.outfile import make_folder, write_whole
from detector.page import card, grid, printable, section, swatch, table, tiles

FEW = 12  # classes that one plot can show
MAIN = ("AP", "AP50", "AP75")
READABLE = 20  # classes of a confusion matrix
PAIRS = 10  # of classes mixed up, listed
HEADS = (
    *("class", "AP", "AP50", "AR", "best F1", "at score", "precision", "recall"),
    *("VOC, 11 points", "VOC, all points", "labelled", "found"),
)


def sections(analysis: Analysis, plots: Mapping[str, Plot] | None = None) -> str:
    """HTML of everything an analysis knows, for `detector.page.write_page`.

    plots: its `figures`, where they are at hand. Classes without a labelled box have no curves;
    pictures that are gone are told in words.
    """
    plots = figures(analysis) if plots is None else plots
    drawn = {name: themed(plot) for name, plot in plots.items()}
    parts = (_summary, _all_figures, _classes, _curves, _confusion, _mistakes, _scores, _pictures)
    return "".join(part(analysis, drawn) for part in parts)


def write_figures(folder: Path, plots: Mapping[str, Plot]) -> list[Path]:
    """Every plot as folder/NAME.svg and NAME.png, the folder made if need be.

    Returns their paths. Raises DetectorError when they cannot be written.
    """
    make_folder(folder, "--out")
    paths = []
    for name, plot in plots.items():
        for suffix, content in (("svg", standalone(plot)), ("png", plot.png())):
            path = folder / f"{name}.{suffix}"
            write_whole(path, content, "--out")
            paths.append(path)
    return paths


def figures(analysis: Analysis) -> dict[str, Plot]:
    """The plots by name; those with nothing to show are left out."""
    known = by_ap(analysis)
    ranked = [c for c in known if c.truths >= fewest(known)]
    shown = [c for c in analysis.classes if c in known] if len(known) <= FEW else ranked[:FEW]
    drawn: dict[str, Plot] = {}
    if known:
        drawn["precision-recall"] = curves.precision_recall(shown)
        drawn["f1"] = curves.f1_by_threshold(shown, analysis.threshold)
    if len(ranked) > 2 * FEW:
        best = ranked[-FEW:]
        drawn["precision-recall-best"] = curves.precision_recall(best, "pr-best")
        drawn["f1-best"] = curves.f1_by_threshold(best, analysis.threshold, "f1-best")
    names = [c.name for c in analysis.classes]
    if analysis.confusion.any():
        drawn["confusion"] = charts.confusion(*most_mixed_up(analysis.confusion, names, READABLE))
    if known and analysis.costs:
        words = {kind: words for kind, (words, _) in KINDS.items()}
        drawn["mistakes"] = charts.mistake_costs(analysis.costs, words)
    if any(math.isfinite(analysis.figures.get(f"AP {size}", math.nan)) for size in charts.SIZES):
        drawn["sizes"] = charts.by_size(analysis.figures)
    if analysis.reliability[:, 2].any():
        drawn["reliability"] = curves.reliability(analysis.reliability)
        drawn["scores"] = charts.score_counts(analysis.reliability)
    return drawn


def by_ap(analysis: Analysis) -> list[ClassFigures]:
    """The classes that have something to find, the lowest AP first."""
    known = [c for c in analysis.classes if c.truths and math.isfinite(c.ap)]
    return sorted(known, key=lambda c: c.ap)


def fewest(known: list[ClassFigures]) -> int:
    """How many labelled boxes a class needs for a curve: of many classes, as many as the median.

    The AP of a class with two boxes says little, and such would be the best and the worst.
    """
    return int(np.median([c.truths for c in known])) if len(known) > 2 * FEW else 1


def _summary(analysis: Analysis, _: dict[str, str]) -> str:
    boxes = sum(c.truths for c in analysis.classes)
    known = [(name, number(analysis.figures.get(name, math.nan))) for name in MAIN]
    counts = [("pictures", f"{analysis.pictures:,}"), ("labelled boxes", f"{boxes:,}")]
    best = [("best score threshold", f"{analysis.threshold:.2f}")] if boxes else []
    reading = (
        "Average precision (AP) as COCO measures it, in percent: 100 finds every object, exactly, "
        "and nothing else. AP50 is content with boxes that overlap the truth by half, AP75 asks "
        "for three quarters, AP is the mean over overlaps from 0.5 to 0.95."
    )
    few = "<p>There is no labelled box in these pictures, so nothing can be judged.</p>"
    crowds = f"<p>{about_crowds(analysis.crowded)}</p>" * bool(analysis.crowded)
    said = few * (not boxes) + crowds
    return section("How good it is", tiles([*known, *best, *counts]) + said, reading)


def _all_figures(analysis: Analysis, _: dict[str, str]) -> str:
    known = {**analysis.figures, **analysis.voc}
    if not any(math.isfinite(value) for value in known.values()):
        return ""
    tables = [
        table((heading, "%"), [[escape(k), number(known[k])] for k in keys if k in known], heading)
        for heading, keys in (
            ("COCO, precision", COCO_FIGURES[:6]),
            ("COCO, recall", COCO_FIGURES[6:]),
            ("PASCAL VOC", VOC_FIGURES),
        )
    ]
    reading = (
        "AR 1, 10 and 100 allow so many detections of a class in a picture. Small objects cover up "
        "to 32 pixels squared, large ones 96 squared or more. VOC's challenge took the mean of 11 "
        "precisions until 2009, the whole area since; here at an overlap of 0.5 and of 0.75."
    )
    return section("All figures", f'<div class="beside">{"".join(tables)}</div>', reading)


def _classes(analysis: Analysis, _: dict[str, str]) -> str:
    labels = {c.name: label for label, c in enumerate(analysis.classes)}
    known = by_ap(analysis)
    others = [c for c in analysis.classes if c not in known]
    rows = [_class_row(c, labels[c.name]) for c in [*known, *others]]
    reading = (
        "Lowest AP first. AR: the share of boxes found, over the same overlaps. F1 weighs "
        "precision (the share of what is found that is right) against recall (the share of the "
        "boxes that is found), at an overlap of half; the score threshold is where it is best. "
        "VOC: AP50 in PASCAL VOC's two forms. The last column counts detections of any score."
    )
    return section("Classes", table(HEADS, rows, "Figures of each class"), reading)


def _class_row(c: ClassFigures, label: int) -> list[str]:
    percents = [number(value) for value in (c.ap, c.ap50, c.ar)]
    shares = (c.best_f1, c.best_threshold, c.best_precision, c.best_recall)
    twos = [f"{v:.2f}" if c.truths and math.isfinite(v) else DASH for v in shares]
    counts = [f"{c.truths:,}", f"{c.found:,}"]
    name = swatch(class_color(label)) + escape(printable(c.name))
    return [name, *percents, *twos, *(number(value) for value in c.voc), *counts]


def _curves(analysis: Analysis, drawn: dict[str, str]) -> str:
    if "precision-recall" not in drawn:
        return ""
    known = by_ap(analysis)
    which = f", the {FEW} classes of the lowest AP" if len(known) > FEW else ""
    least = fewest(known)
    reading = f"Of the classes with {least} labelled boxes or more." if least > 1 else ""
    cards = [
        card(
            f"Precision and recall{which}",
            drawn["precision-recall"],
            "Further up and to the right is better; the figure behind a name is its AP50. Where a "
            "line ends, the objects beyond are never found.",
        ),
        card(
            f"F1 by score threshold{which}",
            drawn["f1"],
            "The height of a line is how well finding is balanced with being right. The gray line "
            "marks the threshold that is best for all classes together.",
        ),
    ]
    if "f1-best" in drawn:
        for heading, name in (("Precision and recall", "precision-recall-best"), ("F1", "f1-best")):
            heading = f"{heading}, the {FEW} classes of the highest AP"
            cards.append(card(heading, drawn[name]))
    return section("Curves", grid(cards), reading)


def _confusion(analysis: Analysis, drawn: dict[str, str]) -> str:
    if "confusion" not in drawn:
        return ""
    names = [c.name for c in analysis.classes]
    cut = f" Of {len(names)} classes the {READABLE} most often mixed up are shown." * (
        len(names) > READABLE
    )
    reading = (
        f"Boxes with a score of at least {analysis.threshold:.2f}. Each row is what was there, "
        "each column what was found: the diagonal is right, the last column was missed, and in "
        "the last row nothing was there. The darker, the larger the share of its row." + cut
    )
    pairs = [
        [
            escape(f"{printable(m.truth)} taken for {printable(m.found)}"),
            f"{m.times:,}",
            f"{m.of:,}",
        ]
        for m in mix_ups(analysis.confusion, names, PAIRS)
    ]
    listed = table(("most frequent", "times", "of"), pairs, "Classes mixed up") if pairs else ""
    heat = f'<div class="scroll whole" tabindex="0">{drawn["confusion"]}</div>'
    both = f'<div class="beside">{heat}{listed}</div>'
    return section("What is taken for what", both, reading)


def _mistakes(analysis: Analysis, drawn: dict[str, str]) -> str:
    cards = []
    if "mistakes" in drawn:
        cards.append(
            card(
                "What mistakes cost",
                drawn["mistakes"],
                "How much AP50 would rise without mistakes of this kind (TIDE). The longest bar is "
                "where work pays most. What is found with a low score is not missed here.",
            )
        )
    if "sizes" in drawn:
        reading = (
            "AP, and the share of boxes found (AR), by the size of objects in the picture. Low on "
            "the left: try a larger --size. A dash: there are none."
        )
        cards.append(card("By object size", drawn["sizes"], reading))
    return section("Where it fails", grid(cards)) if cards else ""


def _scores(analysis: Analysis, drawn: dict[str, str]) -> str:
    if "reliability" not in drawn:
        return ""
    cards = [
        card(
            "Right at each score",
            drawn["reliability"],
            "On the dashed line a score of 0.8 is right eight times in ten. Below it the detector "
            "is too sure of itself, above it too modest.",
        ),
        card(
            "Detections by score",
            drawn["scores"],
            "How many boxes stand behind each point on the left. A point of few boxes says little.",
        ),
    ]
    return section("Can its scores be trusted?", grid(cards))


def _pictures(analysis: Analysis, _: dict[str, str]) -> str:
    if not any(worst.mistakes for worst in analysis.worst):
        return ""
    reading = (
        "Left (on a phone above) the truth, in the colours of the table of classes; beside it what "
        "was found, each mistake in the colour of its kind. A mistake that looks right is often a "
        "label that is wrong or missing."
    )
    return section("The worst pictures", worst_pictures(analysis), reading)
