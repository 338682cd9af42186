"""`demo.py` end to end: whole videos, memory, signals, streams that die. All slow."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from demo_process import Start, rows_so_far
from waiting import wait_until

from detector.camera import open_source
from detector.predictor import Detector

ROOT = Path(__file__).parents[1]
VTEST = ROOT / ".." / "shared" / "data" / "video" / "vtest.avi"
needs_vtest = pytest.mark.skipif(not VTEST.exists(), reason="../shared is not here")
SERVERS = Path(__file__).parent / "stream_servers"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's GStreamer bindings belong to Debian's Python
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them"),
]


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "said")


def json_rows(path: Path) -> list[dict[str, Any]]:
    """All rows; a line that is not whole is an error."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def count_frames(path: Path) -> int:
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    return count


BOTH = "--source sample --loop --view none --save out.mp4 --json out.jsonl"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_run_leaves_whole_files(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(BOTH)
    wait_until(lambda: len(rows_so_far(tmp_path)) > 20, "20 frames")
    time.sleep(random.random() / 4)
    process.send_signal(number)
    assert process.wait(30) == 0, (tmp_path / "said").read_text()
    assert written(tmp_path) == ["out.jsonl", "out.mp4"]
    rows = json_rows(tmp_path / "out.jsonl")
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    assert count_frames(tmp_path / "out.mp4") == len(rows) > 20
    said = (tmp_path / "said").read_text()
    assert f"\n{len(rows)} frames, " in said
    assert said.endswith("written: out.mp4\nwritten: out.jsonl\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_the_start_is_success(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    for tenths in range(1, 22, 3):  # imports, source, sinks, compile, first frames
        process = start(BOTH, DETECTOR_CACHE=str(tmp_path / f".cache{tenths}"))
        time.sleep(tenths / 10 + random.random() / 10)
        process.send_signal(number)
        assert process.wait(30) == 0, (tenths, (tmp_path / "said").read_text())
        assert "Traceback" not in (tmp_path / "said").read_text()
        files = [name for name in written(tmp_path) if not name.startswith(".cache")]
        assert files in ([], ["out.jsonl", "out.mp4"])
        if files:
            count = count_frames(tmp_path / "out.mp4")
            assert count == len(json_rows(tmp_path / "out.jsonl")) > 0
            for name in files:
                (tmp_path / name).unlink()


def test_a_second_signal_kills_a_run_whose_ending_hangs(tmp_path: Path) -> None:
    code = (
        "import time\nfrom detector.commands import demo\n"
        "demo.close_all = lambda sinks: time.sleep(60)\n"
        "demo.Demo(source='sample', loop=True, view='none', json='out.jsonl').run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        wait_until(lambda: len(rows_so_far(tmp_path)) > 5, "5 frames")
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
    finally:
        process.kill()
        process.wait()


def test_sigkill_leaves_nothing_under_the_final_names(start: Start, tmp_path: Path) -> None:
    process = start(BOTH)
    wait_until(lambda: len(rows_so_far(tmp_path)) > 20, "20 frames")
    process.kill()
    process.wait()
    assert [name for name in written(tmp_path) if not name.startswith(".")] == []


class Rtsp:
    """An RTSP server on 127.0.0.1, restarted on the same port with other frame sizes."""

    def __init__(self) -> None:
        self.port, self.process = 0, None

    def serve(self, width: int, height: int) -> str:
        words = [str(self.port), str(width), str(height)]
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVERS / "rtsp_server.py"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        if line[:1] != ["ready"]:
            self.kill()
            pytest.skip("needs gir1.2-gst-rtsp-server-1.0 and python3-gi")
        self.port = int(line[1])
        return f"rtsp://anna:secret@127.0.0.1:{self.port}/test"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def rtsp() -> Iterator[Rtsp]:
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"needs Debian's {SYSTEM_PYTHON}")
    server = Rtsp()
    yield server
    server.kill()


def test_a_stream_that_comes_back_with_another_size(
    start: Start, tmp_path: Path, rtsp: Rtsp
) -> None:
    process = start(f"--source {rtsp.serve(320, 240)} --view none --save out.mp4 --json out.jsonl")
    wait_until(lambda: len(rows_so_far(tmp_path)) > 10, "frames of the first size")
    rtsp.kill()
    rtsp.serve(640, 360)
    wait_until(lambda: rows_so_far(tmp_path)[-1]["width"] == 640, "frames of the second size")
    before = len(rows_so_far(tmp_path))
    wait_until(lambda: len(rows_so_far(tmp_path)) > before + 10, "more of them")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    rows = json_rows(tmp_path / "out.jsonl")
    sizes = [(row["width"], row["height"]) for row in rows]
    assert sizes == sorted(sizes)  # first all small ones, then all large ones
    assert set(sizes) == {(320, 240), (640, 360)}
    indices = [row["frame"] for row in rows]
    assert indices == sorted(set(indices))
    assert count_frames(tmp_path / "out.mp4") == len(rows)
    said = (tmp_path / "said").read_text()
    assert "capture to display" in said
    assert "secret" not in said


def test_a_stream_that_is_gone_for_good(start: Start, tmp_path: Path, rtsp: Rtsp) -> None:
    address = rtsp.serve(320, 240)
    process = start(f"--source {address} --retry 2 --view none --save out.mp4 --json out.jsonl")
    wait_until(lambda: len(rows_so_far(tmp_path)) > 10, "frames")
    rtsp.kill()
    assert process.wait(90) == 3
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith(f"error: rtsp://***@127.0.0.1:{rtsp.port}/test: lost, and 2 tries")
    assert "written: out.mp4\n" in said
    assert count_frames(tmp_path / "out.mp4") == len(json_rows(tmp_path / "out.jsonl")) > 10


@needs_vtest
def test_vtest_whole_and_the_same_as_one_by_one(start: Start, tmp_path: Path) -> None:
    process = start(f"--source {VTEST} --view none --save out.mp4 --json out.jsonl")
    assert process.wait(200) == 0
    found = json_rows(tmp_path / "out.jsonl")
    assert [row["frame"] for row in found] == list(range(795))
    assert count_frames(tmp_path / "out.mp4") == 795
    said = (tmp_path / "said").read_text()
    assert "\n795 frames, " in said
    assert " 0 dropped\n" in said
    detector, source = Detector(), open_source(str(VTEST))
    for row in found[:200]:
        frame = source.read(5)
        assert frame is not None
        alone = detector(frame.image_bgr)
        assert [box["class"] for box in row["detections"]] == alone.names
        assert [box["score"] for box in row["detections"]] == pytest.approx(
            alone.scores.tolist(), abs=1e-4
        )
    source.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_stays_flat(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from detector.commands.demo import Demo\n"
        "from detector.stats import RunStats\n"
        "done = RunStats.finished\n"
        "def finished(self, found):\n"
        "    done(self, found)\n"
        "    if self.frames in (500, 3000):\n"
        "        print(int(open('/proc/self/statm').read().split()[1]) * 4096)\n"
        "RunStats.finished = finished\n"
        "Demo(source='sample', view='none', loop=True, max_frames=3000, json='o.jsonl').run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    early, late = map(int, done.stdout.split())
    assert late - early < 20e6, (early, late)
