"""Training pictures held back: which they are, and that AP on them is AP as users measure it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from labelled import gray

from detector.data.example import Dataset
from detector.data.load import load_splits
from detector.evaluation.run import SCORE
from detector.export.agree import average_precision
from detector.export.held import Held, _nearby, divide, looks
from detector.predictor import COCO_INT8, Detector

COCO = Path(__file__).parents[2].parent / "shared" / "data" / "coco-val-128" / "instances.json"


def test_a_quarter_is_held_back_and_never_calibrates(tmp_path: Path) -> None:
    rest, held = divide(gray(tmp_path, 10))
    assert [one.path.stem for one in held] == ["03", "07"]
    assert len(rest) == 8
    assert not {one.path for one in rest} & {one.path for one in held}


@pytest.mark.parametrize(("count", "boxed"), [(7, None), (10, {0, 1})])
def test_too_few_serve_for_both(tmp_path: Path, count: int, boxed: set[int] | None) -> None:
    rest, held = divide(gray(tmp_path, count, boxed))
    assert len(rest) == len(held) == count


def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    data = gray(tmp_path, 3)
    data.examples[1].path.write_bytes(b"no picture")
    held = Held(data, 32)
    assert [one.path.stem for one in held.data.examples] == ["00", "02"]
    assert len(held.frames.failed) == 1


def test_a_damaged_picture_is_looked_at_in_no_way(tmp_path: Path) -> None:
    data = gray(tmp_path, 3)
    data.examples[1].path.write_bytes(b"no picture")
    seen = list(_nearby(Held(data, 32).data, 32, 2, 0.5))
    assert [one.path.stem for one, _, _ in seen] == ["00", "00", "02", "02"]
    assert {frame.shape for _, frame, _ in seen} == {(1, 32, 32, 3)}


@pytest.mark.parametrize(
    ("count", "side", "times"),
    [
        *((0, 300, 8), (1, 300, 8), (40, 300, 8), (84, 300, 4), (200, 300, 2), (320, 300, 1)),
        *((40, 640, 6), (160, 640, 2), (400, 640, 1)),
    ],
)
def test_many_pictures_and_large_ones_need_fewer_looks(count: int, side: int, times: int) -> None:
    assert looks(count, side) == times


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Pictures of COCO, and a cache of compiled models that nothing else uses."""
    if not COCO.is_file():
        pytest.skip("../shared/data/coco-val-128 is absent")
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path))
    return load_splits(str(COCO))["val"]


@pytest.mark.slow
def test_nearby_views_are_as_hard_as_the_pictures(coco: Dataset) -> None:
    """Boxes that do not move with the picture, or colours in the wrong order, would cost most."""
    plain, often = (Held(coco, 300, times).average_precision(COCO_INT8) for times in (1, 3))
    assert often == pytest.approx(plain, abs=3)


@pytest.mark.slow
def test_ap_is_that_of_pictures_read_one_by_one(coco: Dataset) -> None:
    data = replace(coco, examples=coco.examples[:12])
    expected = average_precision(Detector(COCO_INT8, score=SCORE), data)
    assert expected > 10
    assert Held(data, 300).average_precision(COCO_INT8) == pytest.approx(expected, abs=1e-9)
