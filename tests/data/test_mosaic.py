"""Mosaics: boxes stay on their objects, seen in pixels; a mosaic depends on its seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from detector.data.augment import View, plain_view, resize
from detector.data.mosaic import CENTRE, mosaic, with_mosaics

# One saturated colour a picture, so that each box can be found again by its own.
COLORS = ((250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10))
SIDE = 200


def scene(label: int, width: int = 260, height: int = 190) -> View:
    """A gray picture with one rectangle, of the label's colour, and the box around it."""
    image = np.full((height, width, 3), 110 + label, np.uint8)
    box = np.array([[40 + 5 * label, 30, 150, 100 + 7 * label]], np.float32)
    x1, y1, x2, y2 = box[0].astype(int)
    image[y1:y2, x1:x2] = COLORS[label]
    return View(image, box, np.array([label]), np.zeros(1, np.bool_))


def empty(width: int = 90, height: int = 120) -> View:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return View(np.full((height, width, 3), 90, np.uint8), *none)


SCENES = [scene(0), scene(1, 180, 300), scene(2), scene(3)]


def seen_box(image: np.ndarray, label: int) -> np.ndarray | None:
    """Where the pixels of a colour are: xyxy, or None."""
    distance = np.abs(image.astype(int) - COLORS[label]).sum(axis=2)
    rows, columns = np.nonzero(distance < 150)
    if not rows.size:
        return None
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_boxes_stay_on_their_objects() -> None:
    wanted = ignored = 0
    for seed in range(80):
        done = mosaic(SCENES, SIDE, np.random.default_rng(seed))
        assert done.image_rgb.shape == (SIDE, SIDE, 3)
        assert len(set(done.labels.tolist())) == len(done.labels)
        for box, label, ignore in zip(done.xyxy, done.labels, done.ignore, strict=True):
            seen = seen_box(done.image_rgb, int(label))
            assert seen is not None
            np.testing.assert_allclose(box, seen, atol=2.5)
            wanted += not ignore
            ignored += bool(ignore)
        for label in set(range(4)) - set(done.labels.tolist()):  # at most a sliver was lost
            seen = seen_box(done.image_rgb, label)
            assert seen is None or (seen[2:] - seen[:2]).min() < 12
    assert wanted > 200
    assert ignored > 10  # cut down to little, as in `crop`


def test_each_picture_has_its_corner() -> None:
    for seed in range(20):
        done = mosaic(SCENES, SIDE, np.random.default_rng(seed))
        low, high = CENTRE[0] * SIDE, CENTRE[1] * SIDE
        centres = (done.xyxy[:, :2] + done.xyxy[:, 2:]) / 2
        for (x, y), label in zip(centres, done.labels, strict=True):
            assert x < high if label in (0, 2) else x > low
            assert y < high if label in (0, 1) else y > low


def test_objects_are_never_larger_than_alone_and_never_stretched() -> None:
    alone = resize(SCENES[0], SIDE, SIDE).xyxy[0]
    width, height = alone[2:] - alone[:2]
    whole = 0
    for seed in range(200):
        done = mosaic([SCENES[0], empty(), empty(), empty()], SIDE, np.random.default_rng(seed))
        for x1, y1, x2, y2 in done.xyxy:
            assert x2 - x1 <= width + 2
            assert y2 - y1 <= height + 2
            if min(x1, y1) > 0 and seen_gray(done.image_rgb, x2, y2):
                whole += 1
                assert (x2 - x1) / (y2 - y1) == pytest.approx(width / height, rel=0.08)
    assert whole > 30


def seen_gray(image: np.ndarray, x2: float, y2: float) -> bool:
    """Whether the first picture goes on right of and below a box of it."""
    x, y = int(x2) + 3, int(y2) + 3
    return bool((image[y, x] == 110).all() and (image[y - 5, x] == 110).all())


def test_pictures_without_objects() -> None:
    done = mosaic([empty()] * 4, 96, np.random.default_rng(0))
    assert done.xyxy.shape == (0, 4)
    assert done.xyxy.dtype == np.float32
    assert done.labels.dtype == np.int64
    one = mosaic([empty(), empty(), SCENES[1], empty()], 96, np.random.default_rng(1))
    assert set(one.labels.tolist()) <= {1}


@budget(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=4, max_size=4),
    st.integers(8, 120),
    st.integers(0, 2**31),
)
def test_pictures_of_any_size(sizes: list[tuple[int, int]], side: int, seed: int) -> None:
    views = [
        View(
            np.zeros((h, w, 3), np.uint8),
            np.array([[0, 0, w, h]], np.float32),
            np.array([i]),
            np.zeros(1, np.bool_),
        )
        for i, (w, h) in enumerate(sizes)
    ]
    done = mosaic(views, side, np.random.default_rng(seed))
    assert done.image_rgb.shape == (side, side, 3)
    assert (done.xyxy >= -1e-3).all()
    assert (done.xyxy <= side + 1e-3).all()
    assert (done.xyxy[:, 2:] > done.xyxy[:, :2]).all()


def test_a_view_depends_on_the_generator_alone() -> None:
    first, second = (with_mosaics(plain_view(96), SCENES.__getitem__, 4, 96, 0.5) for _ in range(2))
    first(SCENES[3], np.random.default_rng(99))  # what came before must not matter
    before = [view.image_rgb.copy() for view in SCENES]
    mosaics = 0
    for seed in range(40):
        a, b = (f(SCENES[0], np.random.default_rng(seed)) for f in (first, second))
        np.testing.assert_array_equal(a.image_rgb, b.image_rgb)
        np.testing.assert_array_equal(a.xyxy, b.xyxy)
        alone = plain_view(96)(SCENES[0], np.random.default_rng(0)).image_rgb
        mosaics += not np.array_equal(a.image_rgb, alone)
    assert 10 < mosaics < 30
    for view, image in zip(SCENES, before, strict=True):
        np.testing.assert_array_equal(view.image_rgb, image)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_data_set_of_one_picture(chance: float) -> None:
    augment = with_mosaics(plain_view(96), lambda i: SCENES[i], 1, 96, chance)
    counts = [len(augment(SCENES[0], np.random.default_rng(seed)).labels) for seed in range(20)]
    assert max(counts) == (4 if chance else 1)


def test_colours_stay_where_none_are_to_change() -> None:
    views = with_mosaics(plain_view(96), SCENES.__getitem__, 4, 96, 1, colours=0)
    plain = mosaic([SCENES[0]] * 4, 96, np.random.default_rng(0)).image_rgb
    values = {tuple(pixel) for pixel in plain.reshape(-1, 3).tolist()}
    assert (110, 110, 110) in values
    for seed in range(20):
        image = views(SCENES[0], np.random.default_rng(seed)).image_rgb
        grays = image.reshape(-1, 3)[np.ptp(image.reshape(-1, 3), axis=1) == 0]
        assert set(grays[:, 0].tolist()) <= {110, 111, 112, 113}
