"""The pipeline with the real network: freshness, keys, endings. Results: test_demo(_live)."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector.banner import AMBER
from detector.camera import open_source
from detector.detections import Detections
from detector.errors import SourceLostError
from detector.frame import Frame
from detector.live import LiveRun
from detector.predictor import Detector

IMAGE = np.full((120, 160, 3), 90, np.uint8)


class Camera:
    """A live Source: frame n is there n / fps seconds after the start; only the newest is given."""

    is_live, fps, description, ended = True, 30.0, "fake camera", False

    def __init__(self, frames: int = 10**9, fps: float = 30.0) -> None:
        self.status, self.dropped, self.warnings = "", 0, list[str]()
        self.lost: Exception | None = None
        self._frames, self._fps, self._next = frames, fps, 0
        self._start = time.perf_counter()

    def read(self, timeout_s: float) -> Frame | None:
        end = time.perf_counter() + timeout_s
        while (newest := self._newest()) < self._next:
            if self.lost:
                raise self.lost
            if time.perf_counter() >= end:
                return None
            time.sleep(0.001)
        self.dropped += newest - self._next
        self._next = newest + 1
        return Frame(IMAGE.copy(), newest, self._start + newest / self._fps)

    def _newest(self) -> int:
        passed = int((time.perf_counter() - self._start) * self._fps)
        return min(passed, self._frames - 1)

    def close(self) -> None:
        self.ended = True


class FakeView:
    """Presses `keys[n]` after picture n, and keeps what it was shown."""

    def __init__(self, keys: dict[int, str] | None = None, slow_s: float = 0) -> None:
        self.keys_at, self.slow_s = keys or {}, slow_s
        self.pictures: deque[np.ndarray[Any, Any]] = deque(maxlen=200)
        self.stats: list[dict[str, Any]] = []
        self.shown_at: list[float] = []

    def show(self, image_bgr: Any, stats: Any) -> None:
        self.pictures.append(image_bgr)
        self.stats.append(dict(stats))
        self.shown_at.append(time.perf_counter())
        time.sleep(self.slow_s)

    def keys(self) -> list[str]:
        key = self.keys_at.pop(len(self.stats) - 1, None)
        return [key] if key else []

    def close(self) -> None: ...


class Notes:
    """A sink that notes what it was given."""

    def __init__(self, slow_s: float = 0) -> None:
        self.frames, self.found, self.slow_s = list[Frame](), list[Detections](), slow_s

    def write(self, frame: Frame, annotated_bgr: Any, detections: Detections) -> None:
        self.frames.append(replace(frame, image_bgr=IMAGE))
        self.found.append(detections)
        time.sleep(self.slow_s)

    def close(self) -> None: ...

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


class SlowEngine:
    """The real engine, slowed; notes when it is at work."""

    def __init__(self, engine: Any, seconds: float) -> None:
        self.engine, self.seconds, self.parallel = engine, seconds, engine.parallel
        self.busy: list[tuple[float, float]] = []

    def infer(self, batch: Any) -> Any:
        start = time.perf_counter()
        time.sleep(self.seconds)
        found = self.engine.infer(batch)
        self.busy.append((start, time.perf_counter()))
        return found


@pytest.fixture(scope="module")
def one_stream() -> Detector:
    return Detector(size=96)


@pytest.fixture
def slow(one_stream: Detector, monkeypatch: pytest.MonkeyPatch) -> SlowEngine:
    engine = SlowEngine(one_stream.engine, 0.1)
    monkeypatch.setattr(one_stream, "engine", engine)
    return engine


def live_run(source: Any, detector: Detector, **more: Any) -> LiveRun:
    given: dict[str, Any] = {"view": FakeView(), "sinks": [], "say": lambda line: None}
    return LiveRun(source, detector, **(given | more))


def test_a_slow_network_drops_live_frames_and_never_queues_them(
    one_stream: Detector, slow: SlowEngine
) -> None:
    notes = Notes()
    stats = live_run(Camera(), one_stream, sinks=[notes], max_frames=12).run()
    gaps = np.diff(notes.indices)
    assert (gaps >= 2).all(), notes.indices  # 100 ms are three frames of 33
    assert stats.dropped == notes.indices[-1] - 11  # all that are not shown, and no others
    age = stats.percentiles("age")
    assert age is not None
    # A queue of one frame alone would add 100 ms, one of all that came more than a second.
    assert age[0] < 33 + 2 * 110


def test_slow_drawing_and_saving_build_no_queue(one_stream: Detector) -> None:
    view, notes = FakeView(slow_s=0.05), Notes(slow_s=0.1)
    stats = live_run(Camera(), one_stream, view=view, sinks=[notes], max_frames=10).run()
    assert np.median(np.diff(notes.indices)) >= 3, notes.indices  # 150 ms are four frames
    assert stats.dropped == notes.indices[-1] - 9  # skipped, not waiting somewhere
    assert stats.frames == 10


def test_the_next_inference_runs_while_the_last_frame_is_shown(
    one_stream: Detector, slow: SlowEngine
) -> None:
    view = FakeView(slow_s=0.1)
    live_run(Camera(), one_stream, view=view, max_frames=6).run()
    inside = [
        start <= shown <= end or shown <= start <= shown + 0.1
        for shown in view.shown_at[:-1]
        for start, end in slow.busy
    ]
    assert sum(inside) >= 4, (view.shown_at, slow.busy)


def test_a_lost_camera_ends_the_run_with_its_error_and_the_figures_stay(
    one_stream: Detector,
) -> None:
    camera, notes = Camera(frames=3), Notes()
    camera.lost = SourceLostError("fake camera: lost, and 2 tries failed")
    run = live_run(camera, one_stream, sinks=[notes])
    with pytest.raises(SourceLostError, match="2 tries"):
        run.run()
    assert run.stats.frames == len(notes.frames) >= 1
    assert run.stats.dropped == camera.dropped


def test_the_status_of_a_lost_camera_covers_the_top_of_the_picture(one_stream: Detector) -> None:
    camera, view = Camera(frames=2), FakeView()
    run = live_run(camera, one_stream, view=view)
    camera.status = "connection lost, retry 1/10 in 0.5 s"
    threading.Timer(1.0, run.stop.set).start()
    run.run()
    assert view.stats[-1]["status"] == camera.status
    assert (view.pictures[-1][0] == AMBER).all()
    assert not (view.pictures[0][0] == AMBER).all()
    assert len(view.stats) < 12  # a few a second: a page encodes each


def test_pause_holds_a_file_and_goes_on_where_it_was(one_stream: Detector) -> None:
    view, notes = FakeView({4: " ", 7: " "}), Notes()
    with closing(open_source("sample")) as source:
        live_run(source, one_stream, view=view, sinks=[notes], max_frames=20).run()
    assert notes.indices == list(range(20))
    assert 1 in {stats["paused"] for stats in view.stats}
    assert view.stats[-1]["paused"] == 0


@pytest.mark.parametrize("key", ["q", "esc", "closed"])
def test_quit(one_stream: Detector, key: str) -> None:
    notes = Notes()
    with closing(open_source("sample", loop=True)) as source:
        live_run(source, one_stream, view=FakeView({9: key}), sinks=[notes]).run()
    assert notes.indices == list(range(10))  # what was shown was saved


def test_threshold_keys_change_what_is_found_and_stay_inside(one_stream: Detector) -> None:
    said: list[str] = []
    keys = dict.fromkeys(range(0, 30), "-")
    view = FakeView(keys)
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream, view=view, say=said.append, max_frames=40)
        before = run.score
        run.run()
    assert (before, run.score) == (0.5, 0.05)
    assert said[:2] == ["threshold 0.45", "threshold 0.40"]
    assert view.stats[-1]["score"] == 0.05
    assert view.stats[-1]["detections"] > view.stats[1]["detections"]


@pytest.mark.parametrize(("start", "key", "end"), [(0.9, "+", 1.0), (0.01, "-", 0.01)])
def test_threshold_keys_at_the_ends(
    one_stream: Detector, monkeypatch: pytest.MonkeyPatch, start: float, key: str, end: float
) -> None:
    monkeypatch.setattr(one_stream, "score", start)
    view = FakeView(dict.fromkeys(range(5), key))
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream, view=view, max_frames=6)
        run.run()
    assert run.score == end


def test_snapshot_is_the_picture_on_view_with_its_boxes(
    one_stream: Detector, tmp_path: Path
) -> None:
    said: list[str] = []
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream, view=FakeView({5: "s"}), say=said.append, max_frames=8)
        run.snapshots = tmp_path / "shots"
        run.run()
    picture, boxes = sorted((tmp_path / "shots").iterdir())
    assert {picture.suffix, boxes.suffix} == {".jpg", ".json"}
    content = json.loads(min(picture, boxes, key=lambda path: path.suffix != ".json").read_text())
    assert content["frame"] == 5
    assert said == [f"saved {tmp_path / 'shots' / content['picture']}"]


def test_a_snapshot_that_fails_is_told_and_the_run_goes_on(
    one_stream: Detector, tmp_path: Path
) -> None:
    said: list[str] = []
    (tmp_path / "shots").write_text("a file is in the way")
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream, view=FakeView({2: "s"}), say=said.append, max_frames=8)
        run.snapshots = tmp_path / "shots"
        assert run.run().frames == 8
    assert len(said) == 1
    assert said[0].startswith("not saved: ")


def test_help_is_drawn_and_taken_away(one_stream: Detector) -> None:
    view = FakeView({1: "h", 3: "h"})
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream, view=view, max_frames=6, overlay=False)
        run.run()
    corners = [picture[380:, :100].mean() for picture in view.pictures]
    assert min(corners[2], corners[3]) < 0.85 * min(corners[1], corners[4]), corners


def test_a_held_file_stays_on_view_until_quit(one_stream: Detector, tmp_path: Path) -> None:
    view = FakeView({3: "q"})  # one frame, then its still picture anew
    with closing(open_source("sample")) as source:
        frame = source.read(5)
    assert frame is not None
    cv2.imwrite(str(tmp_path / "one.png"), frame.image_bgr)
    with closing(open_source(str(tmp_path / "one.png"))) as source:
        stats = live_run(source, one_stream, view=view, hold=True).run()
    assert stats.frames == 1
    assert len(view.pictures) == 4
    assert (view.pictures[-1][0] == AMBER).all()


def test_a_paced_file_is_not_faster_than_its_pace(one_stream: Detector) -> None:
    view = FakeView()
    with closing(open_source("sample")) as source:
        live_run(source, one_stream, view=view, max_frames=9, pace_fps=20.0).run()
    assert view.shown_at[-1] - view.shown_at[0] >= 8 / 20 - 0.05


def test_stop_before_the_start_processes_nothing(one_stream: Detector) -> None:
    with closing(open_source("sample")) as source:
        run = live_run(source, one_stream)
        run.stop.set()
        assert run.run().frames == 0
