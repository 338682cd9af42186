"""Views: boxes stay on their objects, seen in pixels; a view is a function of picture and seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.augment import (
    FILL,
    View,
    crop,
    flipped_view,
    min_iou_crop,
    nearby_view,
    plain_view,
    resize,
    training_views,
    zoom_out,
)

GRAY, RED, BLUE = (110, 110, 110), (250, 10, 10), (10, 10, 250)
RED_BOX, BLUE_BOX = (30, 20, 110, 100), (150, 60, 230, 170)


def view_of(width: int, height: int, *boxes: tuple[float, float, float, float]) -> View:
    image = np.full((height, width, 3), GRAY, np.uint8)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return View(image, xyxy, np.arange(len(boxes)), np.zeros(len(boxes), np.bool_))


@pytest.fixture
def scene() -> View:
    """A red rectangle (label 0) and a blue one (label 1), each box exactly around it."""
    view = view_of(260, 200, RED_BOX, BLUE_BOX)
    for (x1, y1, x2, y2), color in ((RED_BOX, RED), (BLUE_BOX, BLUE)):
        view.image_rgb[y1:y2, x1:x2] = color
    return view


def seen_box(image: np.ndarray, label: int) -> np.ndarray | None:
    """Where the pixels of rectangle `label` are: xyxy, or None when it is out of sight."""
    rgb = image.astype(int)
    own, other = (rgb[..., 0], rgb[..., 2]) if label == 0 else (rgb[..., 2], rgb[..., 0])
    rows, columns = np.nonzero(own - other > 60)
    if not rows.size:
        return None
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def assert_boxes_fit(view: View, within: float) -> None:
    for box, label in zip(view.xyxy, view.labels, strict=True):
        seen = seen_box(view.image_rgb, int(label))
        assert seen is not None
        np.testing.assert_allclose(box, seen, atol=within)


def test_resize_stretches_boxes_with_the_picture(scene: View) -> None:
    done = resize(scene, 300, 200)
    assert done.image_rgb.shape == (200, 300, 3)
    assert_boxes_fit(done, within=1.5)
    assert resize(view_of(7, 5), 96, 96).xyxy.shape == (0, 4)


def test_crop_clips_and_tells_what_is_left(scene: View) -> None:
    done = crop(scene, 50, 30, 170, 190)
    assert_boxes_fit(done, within=0)
    # Three quarters of red are left; of blue a quarter: too little to be wanted.
    assert done.labels.tolist() == [0, 1]
    assert done.ignore.tolist() == [False, True]
    gone = crop(scene, 0, 0, 152, 200)  # a fortieth of blue
    assert gone.labels.tolist() == [0]


def test_crop_keeps_ignored_boxes_ignored(scene: View) -> None:
    crowd = View(scene.image_rgb, scene.xyxy, scene.labels, np.array([True, False]))
    assert crop(crowd, 0, 0, 260, 200).ignore.tolist() == [True, False]


def test_crop_outside_is_filled(scene: View) -> None:
    done = crop(scene, -40, -30, 300, 260)
    assert done.image_rgb.shape == (290, 340, 3)
    assert tuple(done.image_rgb[0, 0]) == FILL == tuple(done.image_rgb[-1, -1])
    assert_boxes_fit(done, within=0)


@pytest.mark.parametrize("change", [min_iou_crop, zoom_out])
def test_random_geometry_keeps_boxes_on_objects(scene: View, change: object) -> None:
    shapes = set()
    for seed in range(60):
        done = change(scene, np.random.default_rng(seed))  # type: ignore[operator]
        assert_boxes_fit(done, within=0)
        shapes.add(done.image_rgb.shape)
    assert len(shapes) > 20


def test_crop_overlaps_a_box_unless_any_part_will_do(scene: View) -> None:
    empty = 0
    for seed in range(120):
        empty += not len(min_iou_crop(scene, np.random.default_rng(seed)).labels)
    assert empty < 20  # one crop in six asks for nothing


def test_training_views_keep_boxes_on_objects(scene: View) -> None:
    augment = training_views(160)
    flipped = wanted = 0
    for seed in range(150):
        done = augment(scene, np.random.default_rng(seed))
        assert done.image_rgb.shape == (160, 160, 3)
        assert done.image_rgb.dtype == np.uint8
        saturated = np.ptp(done.image_rgb.astype(int), axis=2).max() > 60
        if saturated:  # a few views are gray on purpose
            assert_boxes_fit(done, within=2)
        if len(done.labels) == 2:
            flipped += bool(done.xyxy[0, 0] > done.xyxy[1, 0])
            wanted += 1
    assert wanted > 60
    assert 0.3 < flipped / wanted < 0.7


def test_flip_and_colour_are_chosen_independently(scene: View) -> None:
    augment = training_views(100, crops=0, zoom=0)
    plain = resize(scene, 100, 100).image_rgb
    seen = {}
    for seed in range(200):
        done = augment(scene, np.random.default_rng(seed))
        flipped = bool(done.xyxy[0, 0] > done.xyxy[1, 0])
        same = np.array_equal(done.image_rgb, plain[:, ::-1] if flipped else plain)
        seen[flipped, same] = seen.get((flipped, same), 0) + 1
    assert len(seen) == 4
    assert min(seen.values()) > 10


def test_same_generator_same_view(scene: View) -> None:
    first, second = training_views(120), training_views(120)
    first(scene, np.random.default_rng(99))  # what came before must not matter
    for seed in range(20):
        a, b = (f(scene, np.random.default_rng(seed)) for f in (first, second))
        np.testing.assert_array_equal(a.image_rgb, b.image_rgb)
        np.testing.assert_array_equal(a.xyxy, b.xyxy)


def test_the_picture_handed_in_is_not_changed(scene: View) -> None:
    before = scene.image_rgb.copy(), scene.xyxy.copy()
    for seed in range(20):
        training_views(64)(scene, np.random.default_rng(seed))
        flipped_view(64)(scene, np.random.default_rng(seed))
        nearby_view(64)(scene, np.random.default_rng(seed))
    np.testing.assert_array_equal(scene.image_rgb, before[0])
    np.testing.assert_array_equal(scene.xyxy, before[1])


def test_flipped_view_only_flips(scene: View) -> None:
    plain = plain_view(130)(scene, np.random.default_rng(0))
    flips = 0
    for seed in range(40):
        done = flipped_view(130)(scene, np.random.default_rng(seed))
        assert_boxes_fit(done, within=1.5)
        flips += not np.array_equal(done.image_rgb, plain.image_rgb)
    assert 8 < flips < 32


@pytest.mark.parametrize("view", [training_views, flipped_view, nearby_view])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_how_often_views_are_mirrored_can_be_chosen(scene: View, view, chance: float) -> None:
    augment = view(130, flips=chance)
    for seed in range(40):
        done = augment(scene, np.random.default_rng(seed))
        if len(done.labels) == 2:
            assert (done.xyxy[0, 0] > done.xyxy[1, 0]) == chance


def test_nearby_views_show_nearly_all_of_it_somewhere_else(scene: View) -> None:
    lefts, mirrored = set(), 0
    for seed in range(60):
        done = nearby_view(130)(scene, np.random.default_rng(seed))
        assert_boxes_fit(done, within=2)
        assert len(done.labels) == 2
        mirrored += bool(done.xyxy[0, 0] > done.xyxy[1, 0])
        lefts.add(float(done.xyxy[0, 0]))
    assert len(lefts) > 50
    assert 15 < mirrored < 45


edge = st.floats(0, 1, width=32)


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    fractions=st.lists(st.tuples(edge, edge, edge, edge), max_size=4),
    seed=st.integers(0, 2**31),
)
def test_any_view_is_valid(
    width: int, height: int, fractions: list[tuple[float, ...]], seed: int
) -> None:
    boxes = []
    for a, b, c, d in fractions:
        x1, x2, y1, y2 = *sorted((a, b)), *sorted((c, d))
        if x1 < x2 and y1 < y2:  # what `Pictures.view` hands over; however thin
            boxes.append((x1 * width, y1 * height, x2 * width, y2 * height))
    view = view_of(width, height, *boxes)
    for augment in (training_views(32), flipped_view(32), plain_view(32), nearby_view(32)):
        done = augment(view, np.random.default_rng(seed))
        assert done.image_rgb.shape == (32, 32, 3)
        assert len(done.xyxy) == len(done.labels) == len(done.ignore) <= len(boxes)
        assert done.xyxy.dtype == np.float32
        assert (done.xyxy >= -1e-3).all()
        assert (done.xyxy <= 32 + 1e-3).all()
        assert (done.xyxy[:, 2:] >= done.xyxy[:, :2]).all()
