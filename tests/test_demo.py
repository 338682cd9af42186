"""`demo.py` as a user runs it: what it writes, what it says, what it refuses and leaves behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from detector.cli import main
from detector.commands import demo
from detector.commands.demo import Demo
from detector.errors import DetectorError
from detector.predictor import COCO_INT8, Detector
from detector.sample import sample_path

ROOT = Path(__file__).parents[1]
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


class Done(NamedTuple):
    """What a run of demo.py printed, and what it said."""

    stdout: str
    stderr: str


Run = Callable[[str], Done]
no_camera = pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera here")


def in_a_process(folder: Path, words: str = "") -> subprocess.CompletedProcess[str]:
    """`python demo.py WORDS` in a folder, without a display."""
    clean = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    return subprocess.run(
        [sys.executable, str(ROOT / "demo.py"), *words.split()],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    opencv_threads: None,
) -> Run:
    """run(WORDS): `demo.py WORDS` in tmp_path, but in this process, which is faster."""
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(words.split(), verb=Demo, prog="demo.py")
        done = Done(*capfd.readouterr())
        assert ended.value.code == 0, done.stderr
        return done

    return run


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Runs a command line in this process, which is faster: one line and exit code 2 must come.

    Gives the line; the model must not have been loaded, and no file may be left behind.
    """
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("detector.predictor.load_engine", None)  # a call would be a TypeError

    def refuse(words: str) -> str:
        before = names(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(words.split(), verb=Demo, prog="demo.py")
        out, err = capfd.readouterr()
        assert (ended.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert names(tmp_path) == before
        return err

    return refuse


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def count_frames(path: Path) -> int:
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    return count


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of the sample, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    video = cv2.VideoCapture(str(sample_path()))
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"p{number}.jpg"), video.read()[1])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_sample_to_video_and_json(tmp_path: Path) -> None:
    done = in_a_process(
        tmp_path, "--source sample --view none --max-frames 30 --save o.mp4 --json o.jsonl"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert names(tmp_path) == ["o.jsonl", "o.mp4"]
    found = rows((tmp_path / "o.jsonl").read_text())
    assert [row["frame"] for row in found] == list(range(30))
    times = [row["time_s"] for row in found]
    assert times[0] == 0
    assert times == sorted(times)
    assert count_frames(tmp_path / "o.mp4") == 30
    lines = done.stderr.splitlines()
    assert lines[1].startswith("30 frames, ")
    assert [line.split(" p50")[0].strip() for line in lines[2:6]] == [
        "resize",
        "network",
        "threshold and NMS",
        "draw",
    ]
    assert lines[6:] == ["written: o.mp4", "written: o.jsonl"]


@pytest.mark.slow
def test_detections_are_those_of_the_detector_frame_by_frame(run: Run, tmp_path: Path) -> None:
    done = run("--source sample --view none --max-frames 40 --json -")
    detector, video, boxes = Detector(), cv2.VideoCapture(str(sample_path())), 0
    for row in rows(done.stdout):
        alone = detector(video.read()[1])
        found = row["detections"]
        assert [box["class"] for box in found] == alone.names
        assert [box["score"] for box in found] == pytest.approx(alone.scores.tolist(), abs=1e-4)
        np.testing.assert_allclose(
            [box["xyxy"] for box in found] or alone.xyxy, alone.xyxy, atol=0.01
        )
        boxes += len(found)
    assert boxes >= 40  # or it would show nothing


def test_folder_glob_and_picture(run: Run, tmp_path: Path, pictures: Path) -> None:
    common = "--view none --json - --source"
    folder = run(f"--save out {common} {pictures}")
    assert [row["name"] for row in rows(folder.stdout)] == ["p1.jpg", "p2.jpg", "p10.jpg"]
    assert names(tmp_path / "out") == ["p1.jpg", "p10.jpg", "p2.jpg"]
    assert "(3 pictures, 1 other files left out)" in folder.stderr
    glob = run(f"{common} {pictures}/p1*.jpg")
    assert [row["name"] for row in rows(glob.stdout)] == ["p1.jpg", "p10.jpg"]
    one = run(f"{common} {pictures}/p2.jpg")
    (row,) = rows(one.stdout)
    assert (row["width"], row["height"]) == (640, 480)
    assert "1 frame, 0 dropped" in one.stderr
    assert names(tmp_path) == ["out"]


def test_loop_goes_on_after_the_end(run: Run, tmp_path: Path, pictures: Path) -> None:
    done = run(f"--source {pictures} --loop --max-frames 7 --view none --json -")
    found = rows(done.stdout)
    assert [row["frame"] for row in found] == list(range(7))
    assert found[3]["name"] == found[0]["name"]
    assert found[3]["detections"] == found[0]["detections"]


def test_classes_and_score_choose_what_is_found(run: Run, tmp_path: Path, pictures: Path) -> None:
    common = f"--source {pictures}/p1.jpg --view none --json -"
    everything = rows(run(f"{common} --score 0.05").stdout)[0]["detections"]
    persons = rows(run(f"{common} --score 0.05 --classes person").stdout)
    sure = rows(run(f"{common} --score 0.5").stdout)[0]["detections"]
    assert {box["class"] for box in persons[0]["detections"]} == {"person"}
    assert len({box["class"] for box in everything}) > 1
    assert len(sure) < len(everything)
    assert all(box["score"] >= 0.5 for box in sure)
    assert sure


@no_camera
def test_alone_without_camera_and_display_it_writes_the_sample(tmp_path: Path) -> None:
    done = in_a_process(tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("no camera (camera 0: there is no /dev/video0")
    assert lines[0].endswith("taking the built-in sample")
    assert lines[1].startswith("no window (there is no display")
    assert lines[1].endswith("writing to detector-demo.mp4 instead")
    assert lines[-1] == "written: detector-demo.mp4"
    assert names(tmp_path) == ["detector-demo.mp4"]
    assert count_frames(tmp_path / "detector-demo.mp4") == 250


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--view window", "there is no display"),
        ("--source 97", "there is no /dev/video97"),
        ("--source nowhere.mp4 --save o.mp4", "no such file"),
        ("--source sample --view none --classes persn --save o.mp4 --json o.jsonl", "'person'"),
        ("--source sample --view none --score 1.5 --save out", "expected a number from 0 to 1"),
        ("--source sample --view none --save nowhere/o.mp4", "there is no folder nowhere"),
        ("--source sample --view none --save o.mp4 --json no/o.jsonl", "there is no folder no"),
        ("--source sample --view none --save o.xyz", "no video format"),
        ("--source sample --view none --save o.mp4 --model no.onnx", "no such model file"),
        ("--source sample --view none --max-frames -1", "--max-frames -1: expected 0 or more"),
        ("--source sample --view none --retry -1", "--retry -1"),
        ("--source sample --view web --port 70000 --save o.mp4", "--port 70000: expected 0"),
    ],
)
def test_refusals_come_before_the_model_and_leave_nothing(
    refused: Callable[[str], str], words: str, message: str
) -> None:
    assert message in refused(words)


def test_a_port_in_use(refused: Callable[[str], str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert port in refused(f"--source sample --view web --port {port} --save o.mp4")


def test_a_model_that_is_cut(refused: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(COCO_INT8.read_bytes()[:100_000])
    assert "cut.onnx: not a whole" in refused(
        "--source sample --view none --model cut.onnx --save o.mp4 --json o.jsonl"
    )


def test_a_model_that_fails_to_compile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DetectorError("cannot run it")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("detector.predictor.load_engine", fail)
    with pytest.raises(DetectorError, match="cannot run it"):
        Demo(source="sample", view="none", save="out", json="o.jsonl").run()
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="/proc refuses even root")
def test_a_read_only_place(refused: Callable[[str], str]) -> None:
    assert "--save /proc/o.mp4: cannot write here" in refused(
        "--source sample --view none --save /proc/o.mp4"
    )


def test_opencv_without_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    NONE\n")

    def must_not_open(*_: object, **__: object) -> None:
        raise AssertionError("the source was opened first")

    monkeypatch.setattr("detector.camera.open_source", must_not_open)
    with pytest.raises(DetectorError, match="pip uninstall -y opencv-python-headless"):
        Demo(view="window").run()


class TestEnding:
    """Every sink is closed, and the error that came first is the one told."""

    class Sink:
        def __init__(self, fails: bool) -> None:
            self.fails, self.closed = fails, 0

        def write(self, *_: object) -> None: ...

        def close(self) -> None:
            self.closed += 1
            if self.fails:
                raise DetectorError("the disk is full")

    def test_the_first_failure_is_raised_after_all_were_closed(self) -> None:
        sinks = [self.Sink(True), self.Sink(False)]
        with (
            pytest.raises(DetectorError, match="disk is full"),
            demo.ending(sinks, ["a"], demo.RunStats()),
        ):
            pass
        assert [sink.closed for sink in sinks] == [1, 1]

    def test_an_error_on_its_way_is_not_replaced(self) -> None:
        sinks = [self.Sink(True), self.Sink(False)]
        with pytest.raises(ValueError, match="first"), demo.ending(sinks, [], demo.RunStats()):
            raise ValueError("first")
        assert [sink.closed for sink in sinks] == [1, 1]
