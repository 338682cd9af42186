"""The benchmark measures what it says, in turn; no figure is asserted, only that they are made."""

import cv2
import numpy as np
import pytest

from detector import benchmark
from detector.cli import main
from detector.errors import DetectorError
from detector.predictor import Detector
from detector.sample import sample_path


def test_contestants_run_in_turn_after_one_warm_up_each() -> None:
    calls: list[str] = []

    def contestant(name: str) -> benchmark.Contestant:
        def one_round() -> float:
            calls.append(name)
            return float(len(calls))

        return one_round

    figures = benchmark.interleave({"a": contestant("a"), "b": contestant("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert figures == {"a": [3.0, 5.0, 7.0], "b": [4.0, 6.0, 8.0]}


def test_ratios_are_taken_round_by_round() -> None:
    figures = {"fast": [20.0, 40.0, 90.0], "slow": [10.0, 10.0, 30.0]}
    assert benchmark.share(figures, "fast", "slow") == 3.0
    lines = benchmark.table(figures, "slow")
    assert lines[2] == "| fast | 40.0 | 20.0 - 90.0 | 25.00 | 3.00 |"
    assert lines[3] == "| slow | 10.0 | 10.0 - 30.0 | 100.00 | 1.00 |"


def test_frames_are_the_first_of_the_video() -> None:
    frames = benchmark.read_frames(str(sample_path()), 3)
    capture = cv2.VideoCapture(str(sample_path()))
    assert len(frames) == 3
    for frame in frames:
        assert np.array_equal(frame, capture.read()[1])


def test_a_file_without_frames_is_refused(tmp_path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no video")
    with pytest.raises(DetectorError, match=r"words\.mp4"):
        benchmark.read_frames(str(path), 3)


def test_every_loop_processes_every_frame() -> None:
    detector = Detector(precision="float", streams=2)
    frames = benchmark.read_frames(str(sample_path()), 5)
    seen: list[int] = []
    infer = detector.engine.infer

    def counting(batch):
        seen.append(1)
        return infer(batch)

    detector.engine.infer = counting
    threads = cv2.getNumThreads()
    batches = benchmark.batches_of(frames, detector.size_hw)
    assert benchmark.network_only(detector.engine, batches)() > 0
    assert len(seen) == 5
    assert benchmark.demo_loop(detector, str(sample_path()), 5)() > 0
    assert len(seen) == 10
    assert cv2.getNumThreads() == threads
    assert benchmark.opencv_loop(detector, str(sample_path()), 5)() > 0
    assert len(seen) == 10  # OpenCV's loop runs the file by itself


def test_the_command_prints_a_row_for_each(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--rounds", "1", "--frames", "3"])
    assert ended.value.code in (0, None)
    out = capsys.readouterr().out
    for what in ("network, 1 stream, int8", "demo, int8", "demo, float", "OpenCV DNN loop, float"):
        assert f"| {what} |" in out
    assert "the demo keeps" in out


@pytest.mark.parametrize("words", ["--rounds 0", "--frames 0"])
def test_nothing_to_measure_is_refused(words: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *words.split()])
    assert ended.value.code == 2
    assert "must be 1 or more" in capsys.readouterr().err
