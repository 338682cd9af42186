"""Several passes made one: who answers for what, and that the answers stay whole."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import Detector, DetectorError
from detector.detections import Limits, select
from detector.preprocess import to_batch
from detector.scales import LEAST, MOST, in_order, merge, shares

SAMPLE = Path(__file__).parents[1] / "detector" / "assets" / "sample.mp4"
SIZES = st.lists(st.integers(96, 1280), min_size=2, max_size=4, unique=True).map(sorted)


def test_300_and_512_share_what_lies_between() -> None:
    (low, high), (low2, high2) = shares([300, 512], 300)
    assert (low, high) == (LEAST, np.inf)
    assert (low2, high2) == (0, pytest.approx(MOST * 300 / 512))
    assert low < high2


@given(SIZES, st.integers(96, 640), st.floats(0.05, 1), st.floats(0.05, 1))
def test_every_object_has_a_pass_whatever_the_sizes(
    sizes: list[int], native: int, least: float, most: float
) -> None:
    ranges = shares(sizes, native, least, most)
    assert len(ranges) == len(sizes)
    assert (ranges[0][1], ranges[-1][0]) == (np.inf, 0)
    for (low, _), (_, high) in itertools.pairwise(ranges):
        assert low <= high  # the larger pass reaches up to where the smaller one begins


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_merge_takes_rows_by_size_and_keeps_them_together(wh: list[tuple[float, float]]) -> None:
    sides = np.array(wh, np.float32).reshape(-1, 2)
    boxes = np.concatenate([np.full_like(sides, 0.25), 0.25 + sides], axis=1)
    scores = np.arange(len(boxes) * 3, dtype=np.float32).reshape(-1, 3)
    ranges = [(0.4, np.inf), (0.0, 0.4)]
    merged, values = merge([(boxes, scores), (boxes + 1, scores + 1000)], ranges)
    assert len(merged) == len(values) >= len(boxes)
    for box, row in zip(merged, values, strict=True):
        second = row[0] >= 1000
        size = float(np.sqrt(max(0, box[2] - box[0]) * max(0, box[3] - box[1])))
        assert size <= 0.4 + 1e-5 if second else size >= 0.4 - 1e-5
        source = int(row[0] - 1000 * second) // 3
        np.testing.assert_array_equal(box, boxes[source] + second)


def test_nothing_found_is_no_trouble() -> None:
    none = np.zeros((0, 4), np.float32), np.zeros((0, 80), np.float32)
    boxes, scores = merge([none, none], [(0.3, np.inf), (0, 0.3)])
    assert boxes.shape == (0, 4)
    assert scores.shape == (0, 80)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_two_passes_are_the_two_alone_made_one(frame: np.ndarray, engine: str) -> None:
    both = Detector(scales=(160, 128), precision="float", engine=engine, score=0.3)
    assert both.sizes == [128, 160]
    assert both.at == "128 + 160 px"
    outputs = []
    for side in both.sizes:
        alone = Detector(size=side, precision="float", engine=engine).engine
        outputs.append(alone.infer(to_batch(frame, (side, side))))
    boxes, scores = merge(outputs, shares(both.sizes, 300))
    limits = Limits(0.3, both.iou, 100, both.vote)
    expected = select(boxes, scores, frame.shape[:2], both.class_names, limits)
    found = both(frame)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_threads_do_not_mix_their_frames(frame: np.ndarray) -> None:
    both = Detector(scales=(128, 160), precision="float", score=0.3)
    frames = [frame, frame[:, ::-1].copy()] * 6
    alone = [both(one) for one in frames[:2]]
    assert len(alone[0]) > 0
    assert not np.allclose(alone[0].xyxy[0], alone[1].xyxy[0])
    with ThreadPoolExecutor(3) as pool:
        for number, found in enumerate(pool.map(both, frames)):
            np.testing.assert_array_equal(found.xyxy, alone[number % 2].xyxy)


@pytest.mark.parametrize(
    ("scales", "size", "message"),
    [
        ((300,), None, "2 to 4 different sizes"),
        ((300, 300), None, "2 to 4 different sizes"),
        ((), None, "2 to 4 different sizes"),
        ((300, 20), None, "scales is 20; expected a whole number from 96 to 1280"),
        ((300, 512), 300, "exclude each other"),
    ],
)
def test_scales_that_make_no_sense(scales: tuple[int, ...], size: int | None, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        Detector(scales=scales, size=size)


def test_order_does_not_matter() -> None:
    assert in_order([512, 300]) == [300, 512]
