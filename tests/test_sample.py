"""The built-in clip and the script that renders it."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from detector.camera import open_source
from detector.predictor import Detector
from detector.sample import sample_path

ROOT = Path(__file__).parents[1]


def frames() -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(sample_path()))
    read = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return read
        read.append(frame)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("skimage", reason="scikit-image carries the photographs")
    spec = importlib.util.spec_from_file_location("render", ROOT / "scripts" / "render_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name while the class is made
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "render", module)
        spec.loader.exec_module(module)
    return module


def test_the_clip_is_small_and_whole() -> None:
    assert sample_path().stat().st_size < 1_000_000
    read = frames()
    assert len(read) == 250
    assert {frame.shape for frame in read} == {(480, 640, 3)}


def test_the_clip_moves() -> None:
    read = frames()[::10]
    change = [cv2.absdiff(a, b).mean() for a, b in pairwise(read)]
    assert np.median(change) > 3


def test_notice_credits_every_photograph(script: ModuleType) -> None:
    notice = (sample_path().parent / "NOTICE").read_text(encoding="utf-8")
    pictures = {name for scene in script.SCENES for name in scene.pictures}
    assert len(pictures) == 4
    assert [name for name in sorted(pictures) if f"\n{name}\n" not in notice] == []


def test_the_script_renders_what_the_clip_shows(script: ModuleType) -> None:
    """The first scene as rendered, against the clip: only the codec lies between them."""
    clip = frames()
    rendered = script.render(script.SCENES[0])
    for i in (0, 30, 49):
        assert cv2.PSNR(clip[i], rendered[i]) > 30
    assert sum(scene.frames for scene in script.SCENES) - 4 * script.FADE == len(clip)


@pytest.mark.slow
def test_what_the_clip_shows_is_found_in_most_frames() -> None:
    """In every fifth frame: that is enough to tell the scenes apart."""
    detector = Detector(precision="float")
    source = open_source("sample")
    found: Counter[str] = Counter()
    frames = 0
    while not source.ended:
        frame = source.read(10.0)
        if frame is not None:
            frames += 1
            if frame.index % 5 == 0:
                found.update(set(detector.detect_timed(frame.image_bgr)[0].names))
    source.close()
    assert frames == 250
    # The clip has two scenes of people, one of a cat and one of a cup, then the cat again.
    assert found["person"] > 18
    assert found["cat"] > 12
    assert found["cup"] > 10
