"""The size that follows the load: with an engine made up, and a clock that tests set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import Detections, DetectorError
from detector.autosize import LADDER, WINDOW, AutoSize, largest_within
from detector.easing import EASED_FRAMES, Easing
from detector.predictor import Timing

FRAME = np.zeros((100, 100, 3), np.uint8)
FPS = 30.0
NAMES = ("cat", "dog")


def boxes(*xyxy: tuple[float, float, float, float], label: int = 0) -> Detections:
    n = len(xyxy)
    scores = np.linspace(0.9, 0.8, n, dtype=np.float32)
    labels = np.full(n, label, np.int64)
    return Detections(np.array(xyxy, np.float32).reshape(-1, 4), scores, labels, NAMES)


class Machine:
    """Time passes only here: a frame takes the area times `ms_at_300`; work waits to be done."""

    def __init__(self, ms_at_300: float) -> None:
        self.now, self.ms_at_300 = 0.0, ms_at_300
        self.waiting: list[Callable[[], None]] = []
        self.made: list[int] = []
        self.sizes: list[int] = []
        self.said: list[str] = []
        self.broken: set[int] = set()

    def clock(self) -> float:
        return self.now

    def make(self, side: int) -> Any:
        if side in self.broken:
            raise DetectorError("not enough memory")
        self.made.append(side)
        return FakeDetector(self, side)

    def auto(self, first: int = 300) -> AutoSize:
        return AutoSize(
            self.make,
            FPS,
            first,
            say=self.said.append,
            clock=self.clock,
            start=self.waiting.append,
        )

    def run(self, auto: AutoSize, seconds: float, *, compile_frames: int = 5) -> list[int]:
        """Frames as a camera of FPS gives them; the sizes used. A new size takes some frames."""
        end, used, ready_in = self.now + seconds, [], 0
        while self.now < end:
            begun = self.now
            auto.detect_timed(FRAME)
            used.append(self.sizes[-1])
            self.now = max(self.now, begun + 1 / FPS)  # the camera's next frame
            if self.waiting:
                ready_in += 1
                if ready_in > compile_frames:
                    self.waiting.pop(0)()
                    ready_in = 0
        return used


class FakeDetector:
    """Takes the machine's time and sees one box, at a place that depends on its size."""

    score, path = 0.5, Path("made-up.onnx")

    def __init__(self, machine: Machine, side: int) -> None:
        self.machine, self.side, self.engine = machine, side, object()

    def detect_timed(self, frame_bgr: Any, score: float | None = None) -> tuple[Detections, Timing]:
        self.machine.sizes.append(self.side)
        ms = self.machine.ms_at_300 * (self.side / 300) ** 2
        self.machine.now += ms / 1e3
        shift = self.side / 100
        return boxes((10 + shift, 10, 50 + shift, 50)), Timing(0, ms, 0)


def held(machine: Machine, side: int) -> bool:
    return machine.ms_at_300 * (side / 300) ** 2 <= 1e3 / FPS


@pytest.mark.parametrize("ms_at_300", [2.0, 8.0, 15.0, 25.0, 33.0, 60.0, 120.0])
def test_settles_on_the_largest_size_that_holds_the_rate(ms_at_300: float) -> None:
    machine = Machine(ms_at_300)
    used = machine.run(machine.auto(), 60)
    settled = set(used[-100:])
    assert len(settled) == 1
    side = settled.pop()
    assert held(machine, side)
    larger = [one for one in LADDER if one > side]
    # The next one would leave no time to spare for a bad moment.
    assert not larger or ms_at_300 * (larger[0] / 300) ** 2 > 0.8 * 1e3 / FPS


def test_a_machine_too_slow_for_any_takes_the_smallest() -> None:
    machine = Machine(1000.0)
    assert machine.run(machine.auto(), 60)[-1] == min(LADDER)


def test_follows_the_load_down_and_up_again() -> None:
    machine = Machine(10.0)
    auto = machine.auto()
    before = machine.run(auto, 20)[-1]
    machine.ms_at_300 = 30.0  # another program starts
    busy = machine.run(auto, 10)
    machine.ms_at_300 = 10.0
    after = machine.run(auto, 30)[-1]
    assert busy[-1] < before == after
    assert machine.sizes.count(busy[-1]) > 100
    assert len(machine.said) == 3
    assert machine.said[1] == f"size {before} -> {busy[-1]} px"


def test_frames_go_on_while_the_new_size_is_compiled() -> None:
    machine = Machine(60.0)
    auto = machine.auto()
    used = machine.run(auto, 10, compile_frames=40)
    first_small = next(i for i, side in enumerate(used) if side < 300)
    assert used[:first_small] == [300] * first_small
    assert first_small >= WINDOW + 40  # judged, then 40 more by the old size: none was waited for
    assert machine.made[:2] == [300, used[first_small]]


def test_one_size_is_ordered_at_a_time() -> None:
    machine = Machine(60.0)
    auto = machine.auto()
    for _ in range(10 * WINDOW):
        auto.detect_timed(FRAME)
        assert len(machine.waiting) <= 1


def test_one_slow_frame_changes_nothing() -> None:
    machine = Machine(25.0)
    auto = machine.auto()
    for number in range(300):
        machine.ms_at_300 = 200.0 if number % 10 == 0 else 25.0
        machine.run(auto, 1 / FPS)
    assert set(machine.sizes) == {300}


def test_a_short_burst_of_load_changes_nothing() -> None:
    """However fast frames come: another program's start takes many of them, but not for long."""
    machine = Machine(8.0)
    auto = AutoSize(machine.make, 60.0, clock=machine.clock, start=machine.waiting.append)
    for number in range(600):
        machine.ms_at_300 = 40.0 if number % 300 in range(100, 108) else 8.0
        auto.detect_timed(FRAME)
        machine.now += 0.008
    assert not [side for side in machine.made if side < 300]


def test_a_size_that_cannot_be_held_is_tried_less_and_less() -> None:
    """Load that comes only with the larger size: the estimate cannot know, so patience grows."""
    machine = Machine(15.0)
    auto = machine.auto()
    for _ in range(200 * 30):
        machine.ms_at_300 = 15.0 if auto.side <= 300 else 60.0
        machine.run(auto, 1 / FPS, compile_frames=0)
    rises = sum(1 for a, b in zip(machine.sizes, machine.sizes[1:], strict=False) if a < b)
    assert 2 <= rises <= 9  # every 2 s it would be a hundred


def test_a_size_that_cannot_be_had_leaves_the_old_one_running() -> None:
    machine = Machine(5.0)
    machine.broken = {640}
    auto = machine.auto()
    machine.run(auto, 30)
    assert machine.sizes[-1] == 512
    assert machine.said[0] == "size 640 px cannot be had (not enough memory): staying at 300"


def test_the_process_waits_for_work_in_the_background(tmp_path: Path) -> None:
    """Torn out of the engine's C++ at the process's end, the thread would abort it."""
    work = "time.sleep(0.5), open('done', 'w').close()"
    code = f"import time; from detector import autosize; autosize.in_background(lambda: ({work}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense(fps: float) -> None:
    with pytest.raises(DetectorError, match="fps is"):
        AutoSize(Machine(1.0).make, fps)


def test_what_is_largest() -> None:
    assert largest_within([100, 200, 400], 200, 1.0, 4.0) == 400
    assert largest_within([100, 200, 400], 200, 1.0, 3.9) == 200
    assert largest_within([100, 200, 400], 400, 1.0, 0.01) == 100


def test_boxes_glide_where_the_new_size_sees_them() -> None:
    machine = Machine(60.0)
    auto = machine.auto()
    lefts = []
    while len(lefts) < 60:
        found, _ = auto.detect_timed(FRAME)
        lefts.append(float(found.xyxy[0, 0]))
        if machine.waiting:
            machine.waiting.pop(0)()
    steps = np.abs(np.diff(lefts))
    jump = abs(lefts[0] - lefts[-1])  # what it would be at once
    assert jump > 0.5
    assert steps.max() < 0.6 * jump
    assert lefts[-1] == pytest.approx(10 + auto.side / 100)  # and it ends where that size sees it


def test_easing_leaves_other_objects_and_classes_alone() -> None:
    ease = Easing()
    ease(boxes((0, 0, 40, 40), (60, 60, 100, 100)))
    ease.begin()
    far = boxes((200, 200, 240, 240))
    np.testing.assert_array_equal(ease(far).xyxy, far.xyxy)
    ease.begin()
    dog = boxes((201, 200, 240, 240), label=1)
    np.testing.assert_array_equal(ease(dog).xyxy, dog.xyxy)
    assert len(ease(Detections.empty(NAMES))) == 0
    ease.begin()
    cat = boxes((0, 0, 40, 40))
    np.testing.assert_array_equal(ease(cat).xyxy, cat.xyxy)


def test_easing_ends() -> None:
    ease = Easing()
    ease(boxes((0, 0, 40, 40)))
    ease.begin()
    target = boxes((4, 0, 44, 40))
    seen = [float(ease(target).xyxy[0, 0]) for _ in range(EASED_FRAMES + 1)]
    assert seen == sorted(seen)
    assert 0 < seen[0] < 2
    assert seen[-1] == 4
