"""What workers answered, turned into a row of figures for every setup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from detector.benchmark.agreement import disagreement
from detector.benchmark.engines import TORCH, Setup, weights_of
from detector.benchmark.rounds import Spread, ratio, spread

Answer = Mapping[str, Any]  # a worker's
Kind = tuple[str, int]  # precision and threads: what has a limit of its own
Judged = tuple[str, str, int]  # engine, precision and size: what has an AP of its own


@dataclass(frozen=True)
class Timed:
    """ms: of a call, over all rounds. per_second: frames, with all the setup's threads busy.

    slower: its time as a multiple of the fastest setup's. of_peak: what share of the multiply-adds
    that the machine could do in that time, with as many threads, the network needs; None where the
    limit is unknown. memory: bytes at most, None where unknown. first_load_s, load_s: from a fresh
    interpreter to the first result, with no compiled model kept from before and with one.
    """

    ms: Spread
    per_second: float
    slower: float
    of_peak: float | None
    memory: int | None
    first_load_s: float
    load_s: float


@dataclass(frozen=True)
class Row:
    """One setup. file_size: bytes. multiply_adds: of one picture. note: what went wrong, else ''.

    timed: None where it cannot run. ap: COCO's, in percent, where it was asked for.
    """

    setup: Setup
    file_size: int
    multiply_adds: int
    note: str = ""
    timed: Timed | None = None
    ap: float | None = None


def rows_of(
    first: Mapping[Setup, Answer],
    laps: Mapping[Setup, Sequence[Answer]],
    peaks: Mapping[Kind, Sequence[float]],
    judged: Mapping[Judged, Answer],
    multiply_adds: Mapping[int, int],
) -> list[Row]:
    """A row for each setup, in the order of `first`; one that failed in any round has a note.

    first: the answers of the warm-up. laps: those of each round. peaks: multiply-adds a second that
    the machine reached in each round. multiply_adds: by size.
    """
    failed = {s: note for s in first if (note := _failure(first[s], laps.get(s, ())))}
    middles = {s: [spread(a["ms"]).middle for a in laps[s]] for s in first if s not in failed}
    fastest = min(middles.values(), key=median, default=[])
    rows = []
    for setup in first:
        size, work = file_size(setup), multiply_adds[setup.size]
        if setup in failed:
            rows.append(Row(setup, size, work, failed[setup]))
            continue
        verdict = judged.get((setup.engine, setup.precision, setup.size), {})
        note = verdict.get("error") or _disagreement(setup, {s: first[s] for s in middles})
        rates = [1e3 * work / ms for ms in middles[setup]]
        peak = peaks.get((setup.precision, setup.threads))
        timed = Timed(
            ms=spread([ms for answer in laps[setup] for ms in answer["ms"]]),
            per_second=median(answer["per_second"] for answer in laps[setup]),
            slower=ratio(middles[setup], fastest),
            of_peak=ratio(rates, peak) if peak else None,
            memory=_most(laps[setup]),
            first_load_s=first[setup]["load_s"],
            load_s=median(answer["load_s"] for answer in laps[setup]),
        )
        rows.append(Row(setup, size, work, str(note), timed, verdict.get("AP")))
    return rows


def file_size(setup: Setup) -> int:
    """Bytes of the file that the engine reads: torch has the weights, the rest the model file."""
    path = Path(setup.path)
    weights = weights_of(path) if setup.engine in TORCH else None
    return (weights or path).stat().st_size


def _disagreement(setup: Setup, answers: Mapping[Setup, Answer]) -> str:
    """Where a setup finds something else than the first in line at its size, else ''."""
    others = [other for other in answers if other.size == setup.size]
    trusted = min(others, key=lambda s: (s.precision != "float", s.engine != "openvino"))
    return disagreement(
        answers[trusted]["found"],
        answers[setup]["found"],
        f"{trusted.engine} in {trusted.precision}",
        "the sample clip",
    )


def _failure(first: Answer, laps: Sequence[Answer]) -> str:
    """Why a setup has no figures, or ''."""
    if "error" in first:
        return str(first["error"])
    errors = [str(answer["error"]) for answer in laps if "error" in answer]
    return f"failed in {len(errors)} of {len(laps)} rounds: {errors[0]}" if errors else ""


def _most(answers: Sequence[Answer]) -> int | None:
    known = [answer["memory"] for answer in answers if answer["memory"] is not None]
    return max(known, default=None)
