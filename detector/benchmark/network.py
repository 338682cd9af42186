"""A model's network by itself: every engine, precision, thread count and size, each in turn.

Each measurement is a process of its own (`worker`), and only one lives at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from detector.benchmark.engines import TORCH, Setup, available, weights_of
from detector.benchmark.figures import Answer, Judged, Kind, Row, rows_of
from detector.benchmark.multiply_adds import count_multiply_adds
from detector.benchmark.rounds import take_turns
from detector.data.account import counted
from detector.errors import DetectorError

LONGEST_S = 900.0  # one measurement; torch-compile alone takes minutes
Ask = Callable[..., Answer]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Every setup, and the machine's limit: multiply-adds a second, the most of all rounds."""

    rows: list[Row]
    peaks: dict[Kind, float]


def plan(
    files: Mapping[str, Path], engines: Sequence[str], threads: Sequence[int], sizes: Sequence[int]
) -> tuple[list[Setup], list[str]]:
    """The setups to measure, and a note for everything that is left out.

    files: model files by precision. torch runs weights, in float only.
    Raises DetectorError when nothing is left.
    """
    usable = [engine for engine in engines if available(engine)]
    notes = [f"{engine} is left out: not installed" for engine in engines if engine not in usable]
    for engine in [engine for engine in usable if engine in TORCH]:
        if "float" not in files or weights_of(files["float"]) is None:
            usable.remove(engine)
            notes.append(f"{engine} is left out: it runs float weights, and there are none here")
    setups = [
        Setup(engine, precision, str(files[precision]), size, count)
        for size, precision, count, engine in product(sizes, files, threads, usable)
        if precision == "float" or engine not in TORCH
    ]
    if not setups:
        raise DetectorError("; ".join(["benchmark: nothing is left to measure", *notes]))
    return setups, notes


def measure(
    setups: Sequence[Setup],
    rounds: int,
    frames: int,
    say: Say,
    data: Path | None = None,
    ask: Ask | None = None,
) -> Result:
    """Measure setups, and the machine's limit beside them, `rounds` times in turn.

    frames: calls a round, at most. data: labelled pictures, for AP. say: told what is going on.
    ask: who answers instead of a worker.
    """
    with tempfile.TemporaryDirectory() as cache:
        ask = ask or partial(ask_worker, Path(cache))
        say(f"warm-up of {counted(len(setups), 'setup')}, then {counted(rounds, 'round')}")
        first = {s: ask(what="time", setup=asdict(s), frames=frames) for s in setups}
        able = [setup for setup in setups if "error" not in first[setup]]
        judged = {} if data is None else _judge(ask, able, data, say)
        kinds = sorted({(setup.precision, setup.threads) for setup in able})
        contestants: dict[Setup | Kind, Callable[[], Answer]] = {
            setup: partial(ask, what="time", setup=asdict(setup), frames=frames) for setup in able
        }
        contestants |= {
            kind: partial(ask, what="peak", precision=kind[0], threads=kind[1]) for kind in kinds
        }
        laps = take_turns(contestants, rounds, say)
    peaks = {k: [a["rate"] for a in laps[k]] for k in kinds if all("rate" in a for a in laps[k])}
    work = {s.size: count_multiply_adds(Path(s.path), (s.size, s.size)) for s in setups}
    timed = {setup: laps[setup] for setup in able}
    rows = rows_of(first, timed, peaks, judged, work)
    return Result(rows, {kind: max(rates) for kind, rates in peaks.items()})


def ask_worker(cache: Path, **job: Any) -> Answer:
    """The answer of a fresh process; {"error": ...} too where that dies or takes too long.

    cache: a folder for compiled models, so that first starts are first starts.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    kept = {"DETECTOR_CACHE": str(cache), "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch")}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "detector.benchmark.worker", json.dumps(job)],
            env={**os.environ, **kept, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {LONGEST_S / 60:.0f} minutes"}
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"error": f"its process ended with code {done.returncode} ({why[:200]})"}
    answer: Answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _judge(ask: Ask, able: Sequence[Setup], data: Path, say: Say) -> dict[Judged, Answer]:
    """AP by engine, precision and size: it does not depend on threads, so the most do the work."""
    most = {(s.engine, s.precision, s.size): s for s in sorted(able, key=lambda s: s.threads)}
    answers = {}
    for key, setup in most.items():
        say(f"AP of {setup.engine}, {setup.precision}, {setup.size} px")
        answers[key] = ask(what="judge", setup=asdict(setup), data=str(data))
    return answers
