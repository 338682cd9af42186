"""Results on disk: pictures that overwrite nothing, whole lines of JSON, clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from disks import make_read_only

from detector.detections import Detections
from detector.errors import DetectorError
from detector.frame import Frame
from detector.sinks import (
    FolderSink,
    JsonLinesSink,
    open_sinks,
    save_snapshot,
)

UInt8 = npt.NDArray[np.uint8]
NONE = Detections.empty(("xoài",))
ONE = Detections(
    np.array([[1.234567, 2, 30.5, 40]], np.float32),
    np.array([0.9], np.float32),
    np.array([0]),
    ("xoài",),
)


def frame(index: int, height: int = 48, width: int = 64, name: str = "", at: float = 0) -> Frame:
    """A flat picture whose grey tells its index."""
    return Frame(np.full((height, width, 3), index * 8 % 256, np.uint8), index, at, name)


def feed(sink: FolderSink | JsonLinesSink, *frames: Frame) -> None:
    for each in frames:
        sink.write(each, each.image_bgr, ONE)


def fill(sink: FolderSink | JsonLinesSink, name: str = "") -> None:
    """Write noise until the disk is full; 1000 frames are far more than it holds."""
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for index in range(1000):
        sink.write(Frame(image, index, 0, name), image, ONE)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_stays_when_no_frame_came(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("older\n")
    sinks = open_sinks(str(tmp_path / "out.mp4"), str(tmp_path / "old.jsonl"), None)
    sinks += open_sinks(str(tmp_path / "folder"), None, None)
    for sink in sinks:
        sink.close()
    assert names(tmp_path) == ["old.jsonl"]
    assert (tmp_path / "old.jsonl").read_text() == "older\n"


def test_folder_names_pictures_after_their_sources_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"an input")
    sink = FolderSink(tmp_path)
    feed(sink, frame(0, name="cat.jpg"), frame(1, name="cat.jpg"), frame(2, name="dog.gif"))
    feed(sink, frame(3), frame(123), frame(5, name="chó.PNG"))
    sink.close()
    expected = {"cat_2.jpg": 0, "cat_3.jpg": 8, "dog.jpg": 16, "frame_000003.jpg": 24}
    expected |= {"frame_000123.jpg": 123 * 8 % 256, "chó.PNG": 40}
    assert names(tmp_path) == sorted([*expected, "cat.jpg"])
    assert (tmp_path / "cat.jpg").read_bytes() == b"an input"
    for name, grey in expected.items():
        data = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        assert float(image.mean()) == pytest.approx(grey, abs=2)
    assert (tmp_path / "chó.PNG").read_bytes().startswith(b"\x89PNG")


def test_folder_takes_a_path_as_a_name_but_stays_inside(tmp_path: Path) -> None:
    sink = FolderSink(tmp_path / "out")
    feed(sink, frame(0, name="../../cat.jpg"))
    sink.close()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["cat.jpg"]


def test_a_picture_its_format_cannot_hold_is_one_line(tmp_path: Path) -> None:
    sink = FolderSink(tmp_path)
    with pytest.raises(DetectorError, match=r"20000x50 .* cannot be written as \.webp"):
        feed(sink, frame(0, 50, 20000, "wide.webp"))
    feed(sink, frame(0, 50, 20000, "wide.jpg"))
    assert names(tmp_path) == ["wide.jpg"]


def test_a_full_disk_stops_the_folder_with_whole_pictures_only(tiny_disk: Path) -> None:
    sink = FolderSink(tiny_disk)
    with pytest.raises(DetectorError, match="no space left") as caught:
        fill(sink)
    assert "\n" not in str(caught.value)
    written = names(tiny_disk)
    assert len(written) > 3
    assert all(cv2.imread(str(tiny_disk / name)) is not None for name in written)


def test_json_has_a_whole_line_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonLinesSink(path)
    sink.write(frame(3, at=100.5), frame(3).image_bgr, ONE)
    sink.write(frame(7, 10, 20, "a\udcff\n.jpg", at=101.75), frame(7).image_bgr, NONE)
    assert not path.exists()
    sink.close()
    sink.close()
    assert names(tmp_path) == ["out.jsonl"]
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    assert "xoài" in text
    first, second = map(json.loads, text.splitlines())
    box = {"class": "xoài", "label": 0, "score": 0.9, "xyxy": [1.23, 2.0, 30.5, 40.0]}
    assert first == {
        "frame": 3,
        "time_s": 0,
        "width": 64,
        "height": 48,
        "detections": [box],
    }
    assert second["time_s"] == 1.25
    assert second["name"] == "a\udcff\n.jpg"
    assert (second["width"], second["height"], second["detections"]) == (20, 10, [])


def test_json_on_a_full_disk_leaves_nothing(tiny_disk: Path) -> None:
    sink = JsonLinesSink(tiny_disk / "out.jsonl")
    with pytest.raises(DetectorError, match="no space left"):
        fill(sink, name="x" * 5000)
    sink.close()
    assert names(tiny_disk) == []


JSON_TO_STDOUT = """
import sys, numpy as np
from detector.detections import Detections
from detector.errors import DetectorError
from detector.frame import Frame
from detector.sinks import open_sinks
image = np.zeros((4, 4, 3), np.uint8)
(sink,) = open_sinks(None, "-", None)
try:
    for index in range(20000):
        sink.write(Frame(image, index, 0.0), image, Detections.empty(("xoài",)))
except DetectorError as error:
    print(error, file=sys.stderr)
sink.close()
"""


@pytest.mark.parametrize(
    ("shell", "lines", "told"),
    [
        ("cat", 20000, ""),
        ("head -n 2", 2, "broken pipe"),
        ("true > /dev/null", 0, "broken pipe"),
    ],
)
def test_json_to_standard_output_survives_a_reader_that_leaves(
    shell: str, lines: int, told: str
) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LC_ALL": "C"}
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" | {shell}', sys.executable, JSON_TO_STDOUT],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
    )
    assert done.stdout.count("\n") == lines
    assert all(json.loads(line)["width"] == 4 for line in done.stdout.splitlines())
    assert told in done.stderr
    assert done.stderr.count("\n") == (1 if told else 0), done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_json_to_a_full_standard_output_is_one_line() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    code = [sys.executable, "-c", JSON_TO_STDOUT]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(code, stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert "no space left" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    ("save", "json_path", "told"),
    [
        ("out.xyz", None, r"\.mp4, \.mov, \.mkv, \.avi"),
        ("missing/out.mp4", None, "no folder .*missing"),
        ("missing/deep/folder", None, "no folder .*missing/deep"),
        ("file/folder", None, "no folder .*file"),
        ("file", None, "cannot write here"),
        ("folder.mp4/../out.mp4/x.mp4", None, "no folder"),
        (None, "missing/out.jsonl", "no folder .*missing"),
        (None, "folder.mp4", "this is a folder"),
        (None, "/dev/null", "not a regular file"),
        (None, "x" * 255 + ".jsonl", "name too long"),
        ("new", "missing/out.jsonl", "no folder .*missing"),
    ],
)
def test_a_bad_place_is_one_line_before_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save: str | None,
    json_path: str | None,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DetectorError, match=told) as caught:
        open_sinks(save, json_path, 25)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file", "folder.mp4"]
    assert Path("/dev/null").is_char_device()


def test_a_read_only_place_is_one_line(tiny_disk: Path) -> None:
    """A read-only mount also stops root, whom permissions do not."""
    make_read_only(tiny_disk)
    for save in ("out.mp4", "folder", "."):
        with pytest.raises(DetectorError, match="read-only"):
            open_sinks(str(tiny_disk / save), None, 25)
    with pytest.raises(DetectorError, match="read-only"):
        open_sinks(None, str(tiny_disk / "out.jsonl"), 25)


def test_a_video_is_not_saved_over_its_own_source(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"a video")
    for source in (str(path), str(tmp_path / ".." / tmp_path.name / "a.mp4")):
        with pytest.raises(DetectorError, match="this is the source"):
            open_sinks(str(path), None, 25, source)
    assert path.read_bytes() == b"a video"
    assert open_sinks(None, None, 25, "rtsp://somewhere/") == []


def test_a_folder_may_have_a_dot_when_it_exists_or_ends_with_a_slash(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    for save in ("v1.2", "v1.3/"):
        (sink,) = open_sinks(f"{tmp_path}/{save}", None, None)
        assert isinstance(sink, FolderSink)
        sink.close()
    assert names(tmp_path) == ["v1.2"]  # the other was made, stayed empty and went again


def test_snapshot_is_a_picture_with_its_boxes_beside(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    first = save_snapshot(folder, frame(5, name="cat.jpg"), frame(9).image_bgr, ONE)
    second = save_snapshot(folder, frame(5), frame(9).image_bgr, NONE)
    assert first != second
    assert len(names(folder)) == 4
    image = cv2.imread(str(first))
    assert image is not None
    assert float(image.mean()) == pytest.approx(72, abs=2)  # the annotated one
    boxes = json.loads(first.with_suffix(".json").read_text("utf-8"))
    assert boxes["picture"] == first.name
    assert boxes["frame"] == 5
    assert boxes["detections"][0]["class"] == "xoài"
    assert json.loads(second.with_suffix(".json").read_text())["detections"] == []


def test_a_snapshot_that_does_not_fit_leaves_neither_file(tiny_disk: Path) -> None:
    (tiny_disk / "filler").write_bytes(bytes(1000 * 1024))
    with pytest.raises(DetectorError, match="no space left"):
        save_snapshot(tiny_disk, frame(0, 2000, 2000), frame(0, 2000, 2000).image_bgr, ONE)
    assert names(tiny_disk) == ["filler"]
