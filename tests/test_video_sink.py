"""Saved videos play: every frame, any size and rate; or they are refused and leave nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from detector.detections import Detections
from detector.errors import DetectorError
from detector.frame import Frame
from detector.video_sink import VideoSink

UInt8 = npt.NDArray[np.uint8]
NONE = Detections.empty(("xoài",))


def frame(index: int, height: int = 48, width: int = 64, name: str = "", at: float = 0) -> Frame:
    """A flat picture whose grey tells its index."""
    return Frame(np.full((height, width, 3), index * 8 % 256, np.uint8), index, at, name)


def feed(sink: VideoSink, *frames: Frame) -> None:
    for each in frames:
        sink.write(each, each.image_bgr, NONE)


def fill(sink: VideoSink) -> None:
    """Write noise until the disk is full; 1000 frames are far more than it holds."""
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for index in range(1000):
        sink.write(Frame(image, index, 0), image, NONE)


def greys(path: Path) -> list[float]:
    """Mean grey of every frame that the video decodes to."""
    video, found = cv2.VideoCapture(str(path)), list[float]()
    while True:
        done, image = video.read()
        if not done:
            return found
        found.append(float(image.mean()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov", ".MP4"])
def test_video_plays_every_frame_in_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = VideoSink(path, 12.5)
    feed(sink, *(frame(index) for index in range(30)))
    assert not path.exists()
    assert len(names(tmp_path)) == 1  # the hidden one, beside it
    sink.close()
    sink.close()
    assert names(tmp_path) == [path.name]
    assert greys(path) == pytest.approx([index * 8 for index in range(30)], abs=6)
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, abs=0.01)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o077 & ~0o111 & ~umask()


def umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@pytest.mark.parametrize("fps", [None, 0.0, -3.0, float("nan"), float("inf"), 90000.0])
def test_video_takes_25_frames_a_second_when_the_source_does_not_know(
    tmp_path: Path, fps: float | None
) -> None:
    sink = VideoSink(tmp_path / "out.mp4", fps)
    feed(sink, frame(0), frame(1))
    sink.close()
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FPS) == 25


@pytest.mark.parametrize("fps", [0.5, 7.123456789, 23.976023976, 29.97, 240.0])
def test_video_takes_odd_frame_rates(tmp_path: Path, fps: float) -> None:
    sink = VideoSink(tmp_path / "out.mp4", fps)
    feed(sink, *(frame(index) for index in range(5)))
    sink.close()
    assert len(greys(tmp_path / "out.mp4")) == 5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (77, 101), (50, 8190)])
def test_video_takes_odd_sizes(tmp_path: Path, height: int, width: int) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25)
    feed(sink, frame(20, height, width), frame(20, height, width))
    sink.close()
    done, image = cv2.VideoCapture(str(tmp_path / "out.mp4")).read()
    assert done
    assert image.shape == (height + height % 2, width + width % 2, 3)


def test_video_letterboxes_a_frame_of_another_size(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.avi", 25)
    feed(sink, frame(25), frame(25, 480, 320), frame(25))
    sink.close()
    video = cv2.VideoCapture(str(tmp_path / "out.avi"))
    images = [video.read()[1] for _ in range(3)]
    assert [image.shape for image in images] == [(48, 64, 3)] * 3
    assert images[1][24, 32].mean() == pytest.approx(200, abs=6)
    assert images[1][24, :10].mean() < 10  # 2:3 in 4:3: black at both sides
    assert images[1][24, -10:].mean() < 10
    assert images[2][24, :10].mean() == pytest.approx(200, abs=6)


def test_video_replaces_an_older_one_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    sink = VideoSink(path, 25)
    feed(sink, frame(0))
    assert path.read_bytes() == b"older"
    sink.close()
    assert len(greys(path)) == 1


def test_a_picture_too_wide_for_the_codec_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25)
    with pytest.raises(DetectorError, match=r"20000x50 .*folder"):
        feed(sink, frame(0, 50, 20000))
    sink.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_disk_that_fills_up_stops_the_video_and_leaves_nothing(
    tiny_disk: Path, suffix: str
) -> None:
    sink = VideoSink(tiny_disk / f"out{suffix}", 25)
    with pytest.raises(DetectorError, match=r"disk is full after [1-9]"):
        fill(sink)
    sink.close()
    assert names(tiny_disk) == []


def test_a_video_that_did_not_come_out_whole_is_found_at_the_end(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25)
    feed(sink, *(frame(index) for index in range(10)))
    sink._written += 5  # as if OpenCV had lost five frames without a word
    with pytest.raises(DetectorError, match="did not come out whole"):
        sink.close()
    assert names(tmp_path) == []
