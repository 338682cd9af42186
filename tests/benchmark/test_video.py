"""Loops over a video measure what they say; no figure is asserted, only that they are made."""

import cv2
import numpy as np
import pytest

from detector.benchmark import video
from detector.benchmark.engines import OpenCvDetector
from detector.errors import DetectorError
from detector.predictor import COCO_FLOAT, Detector
from detector.preprocess import to_batch
from detector.sample import sample_path

SAMPLE = str(sample_path())


@pytest.fixture(scope="module")
def finder() -> Detector:
    return Detector(precision="float", size=96, streams=2)


def test_frames_are_the_first_of_the_video() -> None:
    frames = video.read_frames(SAMPLE, 3)
    capture = cv2.VideoCapture(SAMPLE)
    assert len(frames) == len(list(video.decoded(SAMPLE, 3))) == 3
    for frame in frames:
        assert np.array_equal(frame, capture.read()[1])


def test_a_file_without_frames_is_refused(tmp_path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no video")
    with pytest.raises(DetectorError, match=r"words\.mp4"):
        video.read_frames(str(path), 3)


def test_every_loop_processes_every_frame(finder, monkeypatch) -> None:
    seen: list[int] = []
    infer = finder.engine.infer

    def counting(batch):
        seen.append(1)
        return infer(batch)

    monkeypatch.setattr(finder.engine, "infer", counting)
    batches = [to_batch(frame, finder.size_hw) for frame in video.read_frames(SAMPLE, 5)]
    assert video.network_only(finder.engine, batches)().frames == len(seen) == 5
    assert video.demo_loop(finder, SAMPLE, 5)().frames == 5
    assert len(seen) == 10
    lap = video.one_by_one(finder, SAMPLE, 5)()
    assert (lap.frames, len(seen)) == (5, 15)
    assert set(lap.stages) == set(video.STAGES)
    assert all(len(times) == 5 and min(times) > 0 for times in lap.stages.values())
    assert sum(map(sum, lap.stages.values())) <= 1e3 * lap.seconds
    assert lap.per_second > 0


@pytest.mark.usefixtures("opencv_threads")
def test_opencvs_loop_and_its_threads() -> None:
    net = OpenCvDetector(COCO_FLOAT, 96, score=0.05, threads=2)
    assert video.opencv_loop(net, SAMPLE, 4, 1)().frames == 4
    assert cv2.getNumThreads() == 2  # as it was before
