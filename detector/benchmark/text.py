"""Figures as markdown tables, fit for a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detector.benchmark.contest import SINGLY
from detector.benchmark.figures import Row
from detector.benchmark.network import Result
from detector.benchmark.rounds import ratio, spread
from detector.benchmark.video import STAGES, VideoLap
from detector.data.account import counted

DASH = "\N{EN DASH}"  # no such figure


def network_lines(result: Result) -> list[str]:
    """A row for each setup that ran, why others did not, and the machine's limit."""
    ran = [row for row in result.rows if row.timed is not None]
    sizes, judged = {row.setup.size for row in ran}, any(row.ap is not None for row in ran)
    head = ["engine", "precision", "threads", *(["size"] if len(sizes) > 1 else [])]
    head += ["ms a frame", "p5 - p95", "frames/s", "times the fastest", "of the limit"]
    head += ["memory", "load, first", "file", *(["AP"] if judged else [])]
    body = [_cells(row, len(sizes) > 1, judged) for row in ran]
    lines = table(head, body)
    notes = {
        f"- {row.setup.engine}, {row.setup.precision}, {row.setup.size} px: {row.note}": None
        for row in result.rows
        if row.note
    }
    parts = [lines if ran else [], list(notes), limit_lines(result)]
    return [line for part in parts if part for line in ("", *part)][1:]


def limit_lines(result: Result) -> list[str]:
    """What the network needs, and what the machine could do in the same time."""
    work = {row.setup.size: row.multiply_adds for row in result.rows}
    needs = ", ".join(f"{count / 1e6:,.0f} M at {size} px" for size, count in work.items())
    reached = ", ".join(
        f"{rate / 1e9:.0f} G in {precision} with {counted(threads, 'thread')}"
        for (precision, threads), rate in sorted(result.peaks.items())
    )
    return [
        f"multiply-adds of one picture: {needs}",
        f"the limit, multiply-adds a second of a stack of 1x1 convolutions: {reached or DASH}",
    ]


def peak_rows(result: Result) -> list[dict[str, str | int | float]]:
    """The machine's limit as JSON takes it."""
    return [
        {"precision": precision, "threads": threads, "multiply_adds_per_s": rate}
        for (precision, threads), rate in result.peaks.items()
    ]


def video_lines(figures: Mapping[str, Sequence[float]], against: str) -> list[str]:
    """Median, lowest and highest frames/s of each, and the ratio round by round.

    figures: frames a second, by contestant and round. against: whose ratio is 1; where it is
    missing, the first's.
    """
    one = figures.get(against) or next(iter(figures.values()))
    body = []
    for name, values in figures.items():
        middle = float(np.median(values))
        cells = [name, f"{middle:.1f}", f"{min(values):.1f} - {max(values):.1f}"]
        body.append([*cells, f"{1e3 / middle:.2f}", f"{ratio(values, one):.2f}"])
    return table(["what", "frames/s", "lowest - highest", "ms a frame", "ratio"], body)


def kept_lines(figures: Mapping[str, Sequence[float]]) -> list[str]:
    """What share of the bare network's frames/s each demo keeps."""
    lines = []
    for name in (name for name in figures if name.startswith("demo, ")):
        form = name.removeprefix("demo, ")
        *_, bare = (n for n in figures if n.startswith("network") and n.endswith(f", {form}"))
        kept = ratio(figures[name], figures[bare])
        lines.append(f"the demo keeps {kept:.0%} of the {form} network's own frames/s")
    return lines


def stage_lines(laps: Mapping[str, Sequence[VideoLap]]) -> list[str]:
    """Milliseconds of every stage, one after another: median (p95), a column for each contestant.

    laps: of contestants that time their stages; without any, no lines.
    """
    if not laps:
        return []
    times = {
        name: {stage: [ms for lap in each for ms in lap.stages[stage]] for stage in STAGES}
        for name, each in laps.items()
    }
    body = []
    for stage, words in STAGES.items():
        spreads = [spread(of[stage]) for of in times.values()]
        body.append([words, *(f"{s.middle:.2f} ({s.high:.2f})" for s in spreads)])
    sums = [sum(spread(ms).middle for ms in of.values()) for of in times.values()]
    body.append(["all", *(f"{total:.2f}" for total in sums)])
    forms = [name.removeprefix(f"{SINGLY}, ") for name in laps]
    return table([f"ms a frame, {SINGLY}: median (p95)", *forms], body)


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """A markdown table; what stands in a cell cannot end it."""
    rows = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _cells(row: Row, sized: bool, judged: bool) -> list[str]:
    setup, timed = row.setup, row.timed
    assert timed is not None
    memory = DASH if timed.memory is None else f"{timed.memory / 1e6:.0f} MB"
    cells = [setup.engine, setup.precision, str(setup.threads)]
    cells += [str(setup.size)] if sized else []
    cells += [f"{timed.ms.middle:.2f}", f"{timed.ms.low:.2f} - {timed.ms.high:.2f}"]
    cells += [f"{timed.per_second:.1f}", f"{timed.slower:.2f}"]
    cells += [DASH if timed.of_peak is None else f"{timed.of_peak:.0%}", memory]
    cells += [f"{timed.load_s:.1f} s, {timed.first_load_s:.1f} s", f"{row.file_size / 1e6:.1f} MB"]
    return cells + ([DASH if row.ap is None else f"{row.ap:.1f}"] if judged else [])
