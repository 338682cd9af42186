"""Tiles: they cover the frame, their boxes are the frame's, and no object counts twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verbs import exit_of

from detector import Detector, DetectorError
from detector.cutting import Tile, cut
from detector.detections import Limits, pairwise_iou, select
from detector.engine import Outputs
from detector.tiles import MARGIN, Tiles, in_frame, looks

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "detector" / "assets" / "sample.mp4"
PHOTOS = ROOT / ".." / "shared" / "data" / "photos"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")
LENGTHS = st.integers(1, 12_000)


@pytest.fixture(scope="module")
def plain() -> Detector:
    return Detector(size=160, precision="float", score=0.3)


@pytest.fixture(scope="module")
def tiled() -> Detector:
    return Detector(size=160, precision="float", score=0.3, tiles=3)


@settings(max_examples=40)
@given(st.data(), LENGTHS, LENGTHS)
def test_boxes_come_back_to_where_they_were(data: st.DataObject, height: int, width: int) -> None:
    tiles = cut((height, width), data.draw(st.integers(1, 16)), 1, 0.2)
    tile = data.draw(st.sampled_from(tiles))
    box = np.array([data.draw(st.tuples(*[st.floats(-0.5, 1.5, width=32)] * 4))], np.float32)
    pixels = in_frame(box, tile, (height, width))[0] * np.array([width, height] * 2)
    expected = box[0] * np.array(tile.size_wh * 2) + [tile.left, tile.top] * 2
    np.testing.assert_allclose(pixels, expected, atol=1e-3, rtol=1e-6)


def test_the_whole_frame_changes_no_box() -> None:
    boxes = np.random.default_rng(0).random((100, 4), np.float32)
    same = in_frame(boxes, Tile(0, 0, 6007, 3989), (3989, 6007))
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, boxes)


def boxes_at(*centres: tuple[float, float], side: float) -> np.ndarray:
    middle = np.array(centres, np.float32)
    return np.concatenate([middle - side / 2, middle + side / 2], axis=1)


def test_only_inner_borders_cut() -> None:
    whole, *tiles = looks((1000, 1000), 2, 300, 300, least=0.25)
    assert [look.tile for look in tiles] == cut((1000, 1000), 2, 150, 0.2)
    corner, other = tiles[0], tiles[3]  # 0..556 and 444..1000
    # At the frame's own corner; in the overlap; across the first tile's border; at the far corner.
    boxes = boxes_at((0.05, 0.05), (0.5, 0.5), (0.55, 0.55), (0.95, 0.95), side=0.1)
    assert corner.answers(boxes).tolist() == [True, False, False, False]
    assert other.answers(boxes).tolist() == [False, False, True, True]
    # In the overlap, too large for either: nobody but the whole frame has it, small as it is.
    assert whole.answers(boxes).tolist() == [False, True, False, False]
    smaller = boxes_at((0.5, 0.5), side=0.05)
    assert [look.answers(smaller)[0] for look in (whole, *tiles)] == [False] + [True] * 4
    near = boxes_at((0.556 - 0.025 - 0.9 * MARGIN * 0.556, 0.2), side=0.05)
    assert not corner.answers(near)[0]
    for look in (whole, *tiles):
        assert look.answers(boxes[:0]).shape == (0,)


@settings(max_examples=60)
@given(
    st.tuples(LENGTHS, LENGTHS),
    st.integers(1, 16),
    st.sampled_from([96, 300, 1280]),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=20),
)
def test_every_box_has_a_look_that_answers_for_it(
    frame_hw: tuple[int, int], along: int, side: int, edges: list[tuple[float, ...]]
) -> None:
    """However small or large, and wherever it lies: that no seam swallows it."""
    ends = np.sort(np.array(edges, np.float32).reshape(-1, 2, 2), axis=1)  # (B, low/high, x/y)
    xyxy = ends.reshape(-1, 4)
    plan = looks(frame_hw, along, side, 300)
    assert plan[0].tile == Tile(0, 0, frame_hw[1], frame_hw[0])
    assert np.any([look.answers(xyxy) for look in plan], axis=0).all()


def test_levels_between_the_whole_and_the_tiles() -> None:
    def grids(along: int, size_wh: tuple[int, int] = (6000, 4000)) -> list[tuple[int, int]]:
        plan = looks(size_wh[::-1], along, 300, 300)
        sizes = dict.fromkeys(look.tile.size_wh for look in plan)
        tiles = [[look.tile for look in plan if look.tile.size_wh == size] for size in sizes]
        return [(len({t.left for t in some}), len({t.top for t in some})) for some in tiles]

    assert grids(1) == [(1, 1)]
    assert grids(3) == [(1, 1), (3, 2)]
    assert grids(8) == [(1, 1), (2, 2), (4, 3), (8, 5)]
    assert grids(16, (9000, 9000)) == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 15)]


def test_where_one_tile_is_enough_it_is_the_plain_detector(
    plain: Detector, tiled: Detector, frame: np.ndarray
) -> None:
    small = cv2.resize(frame, (79, 60))  # below half the input
    found, expected = tiled.detect_timed(small, 0.05)[0], plain.detect_timed(small, 0.05)[0]
    assert len(found) > 0
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert (plain.at, tiled.at) == ("160 px", "160 px, tiles 3")
    assert Detector(size=160, tiles=1).at == "160 px"


@pytest.mark.parametrize("shape", [(1, 1), (20, 10_000), (10_000, 20), (2, 3), (161, 160)])
def test_odd_shapes(tiled: Detector, shape: tuple[int, int]) -> None:
    found = tiled(np.full((*shape, 3), 90, np.uint8))
    assert found.xyxy.shape == (len(found), 4)


class Told:
    """An engine that finds what it is told to, and counts how many batches are under way."""

    description, origin = "told", "compiled"

    def __init__(self, parallel: int = 2, find: Callable[[np.ndarray], Outputs] | None = None):
        self.parallel, self.under_way, self.most, self.started = parallel, 0, 0, 0
        self.find = find or (lambda batch: _nothing())
        self.lock = threading.Lock()

    def infer(self, batch: np.ndarray) -> Outputs:
        return self.start(batch)()

    def start(self, batch: np.ndarray) -> Callable[[], Outputs]:
        with self.lock:
            self.started += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)

        def wait() -> Outputs:
            with self.lock:
                self.under_way -= 1
            return self.find(batch)

        return wait


def _nothing() -> Outputs:
    return np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32)


LARGE = np.zeros((2000, 3000, 3), np.uint8)


def test_memory_is_bounded_however_many_tiles_and_threads() -> None:
    engine = Told()
    tiles = Tiles(engine, 96, 96, 16)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tiles.infer(LARGE, 0.5), range(4)))
    assert engine.started == 4 * len(looks((2000, 3000), 16, 96, 96)) > 4 * 200
    assert 1 < engine.most <= engine.parallel + 1
    assert all(boxes.shape == (0, 4) for boxes, _ in found)


def test_after_an_error_nothing_is_left_under_way() -> None:
    def fail(batch: np.ndarray) -> Outputs:
        raise RuntimeError("out of order")

    engine = Told(find=fail)
    tiles = Tiles(engine, 96, 96, 4)
    for _ in range(10):  # a place lost each time would block the fourth
        with pytest.raises(RuntimeError, match="out of order"):
            tiles.infer(LARGE, 0.5)
    assert engine.under_way == 0
    engine.find = lambda batch: _nothing()
    assert len(tiles.infer(LARGE, 0.5)[0]) == 0


def _white(batch: np.ndarray) -> Outputs:
    """The box around all white pixels of a batch, as a perfect detector would give it."""
    side = batch.shape[1]
    rows, columns = np.nonzero(batch[0, :, :, 0] > 127)
    if len(rows) == 0:
        return _nothing()
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array([box], np.float32) / side, np.array([[0.9, 0.1]], np.float32)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(40, 500), st.integers(2, 6))
def test_an_object_is_found_whole_wherever_it_lies(
    x: float, y: float, size: int, along: int
) -> None:
    left, top = round(x * (1200 - size)), round(y * (900 - size))
    frame = np.zeros((900, 1200, 3), np.uint8)
    frame[top : top + size, left : left + size] = 255
    boxes, scores = Tiles(Told(find=_white), 300, 300, along).infer(frame, 0.5)
    assert len(boxes) >= 1
    # Whoever saw it, saw all of it, so that the suppression that follows makes them one.
    truth = np.array([[left, top, left + size, top + size]], np.float32)
    pixels = boxes * np.array([1200, 900] * 2, np.float32)
    assert pairwise_iou(pixels, truth).min() > 0.75  # a pixel of the whole is 4 of the frame
    found = select(boxes, scores, (900, 1200), ("square", "none"), Limits(0.5, 0.6, 100))
    assert found.names == ["square"]


@pytest.mark.slow
@needs_photos
def test_small_people_and_kites_wherever_the_seams_fall() -> None:
    photo = cv2.imread(str(PHOTOS / "kite.jpg"))
    closer = Detector(precision="float", tiles=3)
    found = closer(photo)
    assert len(found) >= len(Detector(precision="float")(photo)) + 4
    clearest = Detector(precision="float", tiles=3, vote=0)(photo)[:2]  # far from the borders
    assert clearest.names == ["person", "person"]
    for offset in range(40, 200, 40):
        moved = closer(np.ascontiguousarray(photo[:, offset // 2 : -offset]))
        overlap = pairwise_iou(clearest.xyxy - np.float32([offset // 2, 0] * 2), moved.xyxy)
        assert (overlap > 0.5).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_several_under_way_are_what_they_are_alone(frame: np.ndarray, engine: str) -> None:
    """Tiles from every engine, also several at once, are what it gives for each alone."""
    pytest.importorskip(engine)
    find = Detector(size=128, precision="float", engine=engine, tiles=3, threads=2, score=0.3)
    batches = [np.ascontiguousarray(frame[y : y + 128, :128][None]) for y in range(0, 96, 16)]
    waiting = [find.engine.start(batch) for batch in batches]
    together = [wait() for wait in waiting]
    for batch, (boxes, scores) in zip(batches, together, strict=True):
        alone = find.engine.infer(batch)
        np.testing.assert_allclose(boxes, alone[0], atol=1e-5)
        np.testing.assert_allclose(scores, alone[1], atol=1e-5)


def test_engines_agree(frame: np.ndarray, tiled: Detector) -> None:
    pytest.importorskip("onnxruntime")
    other = Detector(size=160, precision="float", engine="onnxruntime", score=0.3, tiles=3)
    found, expected = other(frame), tiled(frame)
    assert found.names == expected.names
    assert len(found) > 0
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_best_first_and_inside(tiled: Detector, frame: np.ndarray) -> None:
    found, timing = tiled.detect_timed(frame, 0.05)
    assert len(found) > 3
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() >= 0.05
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2:] <= frame.shape[1::-1]).all()
    assert timing.infer_ms > 0


def test_threads_do_not_mix_their_frames(tiled: Detector, frame: np.ndarray) -> None:
    frames = [frame, frame[:, ::-1].copy()] * 4
    alone = [tiled(one) for one in frames[:2]]
    assert len(alone[0]) > 0
    with ThreadPoolExecutor(3) as pool:
        for number, found in enumerate(pool.map(tiled, frames)):
            np.testing.assert_array_equal(found.xyxy, alone[number % 2].xyxy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tiles": 0}, "tiles is 0; expected a whole number from 1 to 16"),
        ({"tiles": 17}, "tiles is 17; expected"),
        ({"tiles": -2}, "tiles is -2; expected"),
        ({"tiles": 2.5}, "tiles is 2.5; expected"),
        ({"tiles": "two"}, "tiles is 'two'; expected"),
        ({"tiles": None}, "tiles is None; expected"),
        ({"tiles": 2, "scales": (300, 512)}, "tiles 2 and scales exclude each other; choose one"),
    ],
)
def test_tiles_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError, match=message) as caught:
        Detector(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detect", "a.jpg", "--tiles", 99], "tiles is 99; expected a whole number from 1 to 16"),
        (["detect", "a.jpg", "--tiles", 2, "--scales", "300,512"], "tiles 2 and scales exclude"),
        (["detect", "a.jpg", "--tiles", "all"], "--tiles"),
        (["evaluate", "--data", "DATA", "--model", "x.ckpt", "--tiles", 2], "--tiles do not apply"),
        (
            ["demo", "--source", "sample", "--view", "none", "--size", "auto", "--tiles", 2],
            "--size auto and --tiles exclude each other; choose one",
        ),
    ],
)
def test_one_line_and_code_2(
    words: list[object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = exit_of(words, capsys)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
