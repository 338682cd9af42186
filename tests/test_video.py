"""Video files and pictures: every frame, in order, and a word about what could not be read."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.camera import open_source
from detector.errors import DetectorError
from detector.frame import Frame, Source

VIDEO = Path(__file__).parents[1].parent / "shared" / "data" / "video" / "vtest.avi"


def read_all(source: Source, at_most: int = 10_000) -> list[Frame]:
    frames: list[Frame] = []
    try:
        while not source.ended and len(frames) < at_most:
            frame = source.read(5.0)
            if frame is not None:
                frames.append(frame)
    finally:
        source.close()
    return frames


def gray_level(frame: Frame) -> int:
    return round(float(frame.image_bgr.mean()))


def write_pictures(folder: Path, levels: dict[str, int]) -> None:
    for name, level in levels.items():
        assert cv2.imwrite(str(folder / name), np.full((8, 9, 3), level, np.uint8))


@pytest.fixture(scope="module")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames of 64x48, each brighter than the one before by 8 levels; Motion JPEG in AVI."""
    path = tmp_path_factory.mktemp("video") / "small.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.0, (64, 48))
    assert writer.isOpened()
    for index in range(30):
        writer.write(np.full((48, 64, 3), 8 * index, np.uint8))
    writer.release()
    return path


def with_frame_count(avi: bytes, count: int) -> bytes:
    """The AVI with another number of frames in its two headers (main and stream)."""
    patched = bytearray(avi)
    main, stream = avi.index(b"avih"), avi.index(b"strh")
    for place in (main + 8 + 16, stream + 8 + 32):
        patched[place : place + 4] = count.to_bytes(4, "little")
    return bytes(patched)


class TestVideo:
    def test_every_frame_in_order(self, small_video: Path) -> None:
        source = open_source(str(small_video))
        assert not source.is_live
        assert source.fps == 12.0
        frames = read_all(source)
        assert [f.index for f in frames] == list(range(30))
        assert [gray_level(f) for f in frames] == pytest.approx([8 * i for i in range(30)], abs=2)
        assert source.ended
        assert source.dropped == 0
        assert source.warnings == []
        assert source.read(0.0) is None

    def test_loop_starts_again(self, small_video: Path) -> None:
        frames = read_all(open_source(str(small_video), loop=True), at_most=65)
        assert [f.index for f in frames] == list(range(65))
        levels = [gray_level(f) for f in frames]
        assert levels == pytest.approx([8 * (i % 30) for i in range(65)], abs=2)

    def test_real_video_is_complete(self) -> None:
        if not VIDEO.is_file():
            pytest.skip("../shared/data/video/vtest.avi is not here")
        source = open_source(str(VIDEO))
        count = 0
        while (frame := source.read(10.0)) is not None:
            assert frame.index == count
            assert frame.image_bgr.shape == (576, 768, 3)
            count += 1
        assert source.ended
        assert count == 795
        assert source.fps == 10.0

    def test_cut_video_gives_what_is_there_and_says_so(self, tmp_path: Path) -> None:
        if not VIDEO.is_file():
            pytest.skip("../shared/data/video/vtest.avi is not here")
        path = tmp_path / "cut.avi"
        whole = VIDEO.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
        source = open_source(str(path))
        count = len(read_all(source))
        assert 300 < count < 600
        assert len(source.warnings) == 1
        assert f"{count} frames could be read, its header promises 795" in source.warnings[0]

    def test_header_that_lies(self, small_video: Path, tmp_path: Path) -> None:
        path = tmp_path / "lie.avi"
        path.write_bytes(with_frame_count(small_video.read_bytes(), 5000))
        source = open_source(str(path))
        assert len(read_all(source)) == 30
        assert "30 frames could be read, its header promises 5000" in source.warnings[0]

    def test_decodes_ahead_but_not_without_bound(self, small_video: Path) -> None:
        source = open_source(str(small_video))
        try:
            first = source.read(5.0)
            assert first is not None
            time.sleep(0.3)  # long enough for a decoder without bounds to reach the end
            assert not source.ended
            later = [source.read(5.0) for _ in range(29)]
        finally:
            source.close()
        # Whatever was decoded in the pause carries a time from before its end.
        paused_until = first.captured_at + 0.3
        ahead = sum(frame is not None and frame.captured_at < paused_until for frame in later)
        assert ahead <= 8

    def test_close_in_the_middle_stops_the_thread(self, small_video: Path) -> None:
        before = threading.active_count()
        source = open_source(str(small_video), loop=True)
        assert source.read(5.0) is not None
        source.close()
        source.close()
        assert source.ended
        assert source.read(0.0) is None
        assert threading.active_count() == before


class TestPictures:
    def test_folder_in_natural_order(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, {"f10.png": 100, "f2.png": 20, "F1.png": 10})
        (tmp_path / "notes.txt").write_text("not a picture")
        source = open_source(str(tmp_path))
        assert "3 pictures, 1 other files left out" in source.description
        assert source.fps is None
        frames = read_all(source)
        assert [f.name for f in frames] == ["F1.png", "f2.png", "f10.png"]
        assert [gray_level(f) for f in frames] == [10, 20, 100]

    def test_glob(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        write_pictures(tmp_path, {"a1.png": 1, "b1.png": 2, "deep/a2.png": 3})
        names = [f.name for f in read_all(open_source(str(tmp_path / "a*.png")))]
        assert names == ["a1.png"]
        names = [f.name for f in read_all(open_source(str(tmp_path / "**" / "a?.png")))]
        assert names == ["a1.png", "a2.png"]

    def test_name_with_brackets_is_a_file_not_a_glob(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, {"a[1].png": 5})
        assert [f.name for f in read_all(open_source(str(tmp_path / "a[1].png")))] == ["a[1].png"]

    def test_unreadable_ones_are_counted(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, {"a.png": 1, "c.png": 3})
        (tmp_path / "b.jpg").write_text("words")
        source = open_source(str(tmp_path))
        assert [f.name for f in read_all(source)] == ["a.png", "c.png"]
        assert len(source.warnings) == 1
        assert "1 of 3 pictures could not be read" in source.warnings[0]
        assert "b.jpg: not a picture" in source.warnings[0]

    def test_all_unreadable(self, tmp_path: Path) -> None:
        for name in "abc":
            (tmp_path / f"{name}.jpg").write_text("words")
        with pytest.raises(DetectorError, match=r"none of the 3 pictures .*a\.jpg: not a picture"):
            open_source(str(tmp_path))

    def test_one_picture_with_a_video_suffix(self, tmp_path: Path) -> None:
        write_pictures(tmp_path, {"a.png": 7})
        (tmp_path / "a.png").rename(tmp_path / "a.avi")
        assert [gray_level(f) for f in read_all(open_source(str(tmp_path / "a.avi")))] == [7]
