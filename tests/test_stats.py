"""Figures of a run: right rates, right percentiles, memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from detector.stats import KEPT, SHOWN, STAGES, RunStats


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def finish(stats: RunStats, clock: Clock, frames: int, every_s: float) -> None:
    for _ in range(frames):
        clock.now += every_s
        stats.finished(3)


def test_nothing_yet() -> None:
    stats = RunStats()
    assert stats.as_dict() == {"fps": 0.0, "frames": 0, "detections": 0, "dropped": 0}
    assert stats.mean_fps is None
    assert stats.percentiles("infer") is None
    assert stats.summary() == ["0 frames, 0 dropped"]


def test_one_frame_has_no_rate() -> None:
    stats = RunStats(Clock())
    stats.finished(2)
    assert stats.fps == 0.0
    assert stats.summary() == ["1 frame, 0 dropped"]
    assert stats.as_dict()["detections"] == 2


def test_mean_rate_counts_from_the_first_frame_to_the_last() -> None:
    clock = Clock()
    stats = RunStats(clock)
    clock.now += 50  # start-up is not part of it
    finish(stats, clock, 31, 0.1)
    clock.now += 50  # nor is the end
    assert stats.mean_fps == pytest.approx(10)
    assert stats.summary()[0] == "31 frames, 10.0 frames/s, 0 dropped"


@pytest.mark.parametrize("rate", [0.3, 1.0, 30.0, 400.0])
def test_rate_of_a_steady_run(rate: float) -> None:
    clock = Clock()
    stats = RunStats(clock)
    finish(stats, clock, 50, 1 / rate)
    assert stats.fps == pytest.approx(rate, rel=1e-3)


def test_rate_follows_a_change_within_its_window_and_sinks_in_silence() -> None:
    clock = Clock()
    stats = RunStats(clock)
    finish(stats, clock, 100, 0.1)
    finish(stats, clock, 50, 0.05)
    assert stats.fps == pytest.approx(20, rel=0.01)
    clock.now += 4
    assert stats.fps == pytest.approx(0.25)
    finish(stats, clock, 41, 0.05)
    assert stats.fps == pytest.approx(20, rel=0.01)


def test_percentiles_are_numpys_and_forget_what_is_old() -> None:
    stats = RunStats()
    times = np.random.default_rng(0).gamma(2.0, 5.0, KEPT + 2500)
    for ms in times:
        stats.add("infer", ms)
    assert stats.percentiles("infer") == pytest.approx(np.percentile(times[-KEPT:], (50, 95)))
    assert stats.percentiles("infer", SHOWN) == pytest.approx(
        np.percentile(times[-SHOWN:], (50, 95))
    )
    assert stats.percentiles("draw") is None
    assert stats.as_dict()["infer_ms_p95"] == round(float(np.percentile(times[-SHOWN:], 95)), 2)


def test_summary_has_a_line_for_each_stage_that_was_timed() -> None:
    stats = RunStats(Clock())
    for stage in STAGES:
        if stage != "age":
            stats.add(stage, 2.0)
    stats.dropped = 7
    lines = stats.summary()
    assert lines[0].endswith("7 dropped")
    assert [line.split("  p50")[0].strip() for line in lines[1:]] == list(STAGES.values())[1:]
    assert "p50    2.00 ms   p95    2.00 ms" in lines[1]


def test_an_unknown_stage_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        RunStats().add("lunch", 1.0)
