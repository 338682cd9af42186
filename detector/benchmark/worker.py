"""One measurement in a process of its own: `python -m detector.benchmark.worker JOB`.

So each starts alike: no other engine's threads, memory or warm caches. JOB is JSON; the last line
of standard output is the answer, JSON too: figures, or {"error": "why not"}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.benchmark.agreement import Found
    from detector.benchmark.engines import Setup
    from detector.evaluation.run import Finder

START = time.perf_counter()
SECONDS = 1.0  # a measurement in one round
WARM_UP = 3  # calls that are not counted; the first of all is part of the load time
LEAST = 5  # calls, however long they take
STATUS = Path("/proc/self/status")


def main() -> None:
    """Do the job in the first argument and print its answer."""
    job = json.loads(sys.argv[1])
    try:
        answer = JOBS[job.pop("what")](**job)
    except Exception as error:  # of five engines: any kind
        lines = str(error).strip().splitlines()
        answer = {"error": lines[0][:300] if lines else type(error).__name__}
    print(json.dumps(answer))


def time_setup(setup: dict[str, Any], frames: int) -> dict[str, Any]:
    """Times of a network on a frame of its own size, at most `frames` calls.

    load_s: from a fresh interpreter to the first result. ms: a call, one after another.
    memory: bytes at most so far. per_second: with as many calls side by side as it has threads.
    found: what it sees in the sample clip, as `agreement` compares it.
    """
    import numpy as np

    from detector.benchmark.agreement import LOWEST_SCORE
    from detector.benchmark.engines import Setup, load_finder

    chosen = Setup(**setup)
    # Noise will do: no engine here takes a short cut for zeros.
    side = chosen.size
    frame = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    finder = load_finder(chosen, LOWEST_SCORE)

    def call() -> float:
        return finder.detect_timed(frame)[1].infer_ms

    call()
    load_s = time.perf_counter() - START
    for _ in range(WARM_UP):
        call()
    ms = repeat(call, frames, SECONDS)
    memory = peak_memory()
    return {
        "load_s": load_s,
        "ms": ms,
        "memory": memory,
        "per_second": 1e3 * len(ms) / sum(ms) if chosen.threads == 1 else _rate(chosen, ms, frame),
        "found": _seen(finder),
    }


def _seen(finder: Finder) -> list[Found]:
    """The best detections in the first frame of the sample clip."""
    from detector.benchmark.agreement import as_found
    from detector.benchmark.video import decoded
    from detector.sample import sample_path

    (frame,) = decoded(str(sample_path()), 1)
    return as_found(finder.detect_timed(frame)[0])


def repeat(
    call: Callable[[], float],
    most: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """What each call gave: as many calls as fit into `seconds`, at least LEAST unless `most`."""
    end = clock() + seconds
    given: list[float] = []
    while len(given) < most and (len(given) < LEAST or clock() < end):
        given.append(call())
    return given


def _rate(setup: Setup, ms: list[float], frame: Any) -> float:
    """Frames a second with all threads busy; of an engine without streams, one after another."""
    from detector.benchmark.agreement import LOWEST_SCORE
    from detector.benchmark.engines import STREAMED, load_finder
    from detector.benchmark.video import network_only
    from detector.predictor import Detector

    alone = 1e3 * len(ms) / sum(ms)
    if setup.engine not in STREAMED:
        return alone
    many = load_finder(setup, LOWEST_SCORE, setup.threads)
    assert isinstance(many, Detector)  # STREAMED engines are
    count = max(LEAST, round(alone * SECONDS))
    network_only(many.engine, [frame[None]] * setup.threads)()
    return network_only(many.engine, [frame[None]] * count)().per_second


def measure_peak(precision: str, threads: int) -> dict[str, float]:
    """rate: multiply-adds a second."""
    from detector.benchmark.peak import peak_rate

    return {"rate": peak_rate(precision, threads, SECONDS)}


def judge(setup: dict[str, Any], data: str) -> dict[str, float | int]:
    """COCO's AP and AP50, in percent, and the number of pictures; as `detector evaluate`."""
    from detector import metadata
    from detector.benchmark.engines import STREAMED, Setup, load_finder
    from detector.evaluation.coco import coco_arrays, coco_figures
    from detector.evaluation.judged import Model, judge_model, open_data
    from detector.evaluation.run import SCORE
    from detector.evaluation.table import tabulate

    chosen = Setup(**setup)
    workers = chosen.threads if chosen.engine in STREAMED else 1
    finder: Finder = load_finder(chosen, SCORE, workers)
    path = Path(chosen.path)
    trained_on = metadata.read(path).notes.get("trained_on", "")
    labelled = open_data(Path(data), None, trained_on)
    model = Model(finder, path, path.name, [], workers, trained_on)
    pictures = judge_model(model, labelled, None).pictures
    arrays = coco_arrays(tabulate(pictures, len(labelled.dataset.class_names)))
    figures = coco_figures(arrays)
    return {"AP": figures["AP"], "AP50": figures["AP50"], "pictures": len(pictures)}


def peak_memory(status: Path = STATUS) -> int | None:
    """Most bytes of memory that this process ever held; None where the system does not tell.

    From Linux's status file: getrusage would begin with what the parent held.
    """
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


JOBS: dict[str, Callable[..., Any]] = {
    "time": time_setup,
    "peak": measure_peak,
    "judge": judge,
}

if __name__ == "__main__":
    main()
