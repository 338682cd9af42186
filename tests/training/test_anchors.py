"""Anchors fitted to boxes: what they meet, what they keep, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.load import load_splits
from detector.data.loading import Pictures
from detector.model.anchors import ssd_spec
from detector.training.anchors import (
    BOXES_PER_SHAPE,
    choose_anchors,
    closer,
    fit_anchors,
    iou_kmeans,
    met,
    training_boxes,
)
from detector.training.options import Settings
from detector.training.start import first_network, resumed_network, start_fields

OWN = ssd_spec()


def boxes_of(*sizes: tuple[float, float], each: int = 8, seed: int = 0) -> np.ndarray:
    """`each` boxes of every (w, h), anywhere inside the picture: (G, 4) xyxy."""
    wh = np.repeat(np.array(sizes), each, axis=0)
    low = np.random.default_rng(seed).uniform(0, 1, wh.shape) * (1 - wh).clip(0)
    return np.concatenate([low, low + wh], axis=1).astype(np.float32)


def test_clusters_are_found_whatever_their_numbers():
    sizes = np.array([[0.1, 0.1], [0.5, 0.1], [0.1, 0.5], [0.8, 0.8]])
    rng, counts = np.random.default_rng(3), (5, 50, 500, 20)
    groups = [size * rng.uniform(0.95, 1.05, (n, 2)) for size, n in zip(sizes, counts, strict=True)]
    found = iou_kmeans(np.concatenate(groups), 4)
    means = np.array([group.mean(axis=0) for group in groups])
    order = [int(np.abs(found - mean).sum(axis=1).argmin()) for mean in means]
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(found[order], means)


def test_boxes_of_the_old_shapes_give_the_old_shapes_in_their_places():
    sizes = [shape for of_map in OWN.shapes_wh[:4] for shape in of_map]
    fitted = fit_anchors(OWN, boxes_of(*sizes), 300)
    for old, new in zip(OWN.shapes_wh, fitted.shapes_wh, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5)


def test_small_objects_are_met_better_and_coarse_maps_stay():
    rng = np.random.default_rng(1)
    boxes = boxes_of(*rng.uniform(0.05, 0.09, (300, 2)), each=1)
    fitted = fit_anchors(OWN, boxes, 300)
    assert fitted.per_map == OWN.per_map
    assert fitted.shapes_wh[1:] == OWN.shapes_wh[1:]
    before, after = met(OWN, boxes, 300), met(fitted, boxes, 300)
    assert after.recall > before.recall + 0.1
    assert after.mean_iou > before.mean_iou + 0.05
    assert after.missed_px < 25


def test_large_inputs_have_anchors_as_large():
    rng = np.random.default_rng(2)
    boxes = boxes_of(*rng.uniform(0.5, 0.9, (200, 2)), each=1)
    own = met(OWN, boxes, 600)
    assert own.recall > 0.95  # those of the coarse maps grow with the input
    assert met(fit_anchors(OWN, boxes, 600), boxes, 600).mean_iou > own.mean_iou + 0.05
    fine = replace(OWN, shapes_wh=OWN.shapes_wh[:3])  # those of these maps do not
    assert met(fine, boxes, 600).recall < 0.6
    fitted = fit_anchors(fine, boxes, 600)
    assert met(fitted, boxes, 600).recall > 0.95
    assert fitted.native_size == OWN.native_size  # centres stay where the weights expect them


def test_too_few_boxes_change_nothing_and_boxes_of_one_size_one_shape():
    few = boxes_of((0.6, 0.6), each=BOXES_PER_SHAPE - 1)
    assert fit_anchors(OWN, few, 300) == OWN
    many = fit_anchors(OWN, boxes_of((0.07, 0.07), each=100), 300)
    assert [new != old for new, old in zip(many.shapes_wh[0], OWN.shapes_wh[0], strict=True)] == [
        True,
        False,
        False,
    ]
    np.testing.assert_allclose(many.shapes_wh[0][0], (0.07, 0.07), rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.002, 1), st.floats(0.002, 1)), min_size=1, max_size=40),
    st.sampled_from([96, 300, 450]),
)
def test_any_boxes_give_whole_anchors(sizes: list[tuple[float, float]], side: int):
    fitted = fit_anchors(OWN, boxes_of(*sizes, each=2), side)
    assert fitted.per_map == OWN.per_map
    shapes = np.array([shape for of_map in fitted.shapes_wh for shape in of_map])
    assert (shapes > 0).all()
    assert (shapes < 2).all()


@pytest.fixture(scope="module")
def pictures(shapes):
    return Pictures(load_splits(shapes)["train"].examples, 96)


def test_boxes_are_fractions_without_the_ignored(pictures):
    boxes = training_boxes(pictures)
    first = pictures.examples[0]
    np.testing.assert_allclose(boxes[0] * 96, first.xyxy[0], atol=1e-3)
    assert len(boxes) == 12
    assert not len(training_boxes(ignoring(pictures)))


def ignoring(pictures: Pictures) -> Pictures:
    """The same pictures, all of their boxes to be ignored."""
    examples = [replace(e, ignore=np.ones_like(e.ignore)) for e in pictures.examples]
    return Pictures(examples, 96)


def test_what_is_said_and_chosen(pictures):
    own = ssd_spec(96, low=0.5, high=0.7)
    for choice in ("own", "auto"):
        same, line = choose_anchors(own, pictures, 96, choice)
        assert same is own
        assert line.startswith(
            "anchors: of 12 boxes the weights' own can meet 100.0% (mean best IoU 0."
        )
        assert line.endswith("), which is fine")
    fitted, line = choose_anchors(own, pictures, 96, "fit")
    assert fitted != own
    assert line.endswith("the weights' own would do: leave out --anchors fit")
    assert choose_anchors(own, ignoring(pictures), 96, "fit") == (own, "")


def test_auto_fits_where_the_weights_own_meet_nothing(pictures):
    tiny = ssd_spec(96, low=0.02, high=0.05)
    same, line = choose_anchors(tiny, pictures, 96, "own")
    assert same is tiny
    assert "own can meet 0.0% (mean best IoU 0.15); fitted ones, which are not taken, " in line
    assert line.endswith("; try --anchors fit")
    fitted, line = choose_anchors(tiny, pictures, 96, "auto")
    assert fitted == fit_anchors(tiny, training_boxes(pictures), 96)
    assert "fitted ones, which are taken, " in line


def test_what_is_said_of_objects_larger_than_any_anchor(pictures):
    own = replace(ssd_spec(96, maps=2, low=0.5, high=0.7), first_stride=8)  # none that grow
    _, line = choose_anchors(own, pictures, 480, "auto")
    assert line.endswith("; the missed are large: try --size 96")


def test_what_is_said_of_objects_too_small_for_the_cells(make_shapes, tmp_path):
    data = make_shapes(tmp_path / "small", train=4, val=1)
    for label in (data / "train" / "labels").iterdir():
        name, x, y, *_ = label.read_text().split()
        label.write_text(f"{name} {x} {y} 0.03 0.03\n")
    small = Pictures(load_splits(data)["train"].examples, 300)
    _, line = choose_anchors(ssd_spec(300, low=0.06), small, 300, "fit")
    expected = "'detector check DATA --fix PARTS --tiles 4', learn PARTS, and detect with --tiles 4"
    start = "the missed are small (9 px): too small for any --size, so cut the pictures: "
    assert line.endswith(f"; {start}{expected}")


@pytest.mark.parametrize(
    ("missed_px", "side", "advice"),
    [
        (20, 300, "try --size 384"),
        (24, 300, "try --size 352"),  # no smaller than now
        (11.3, 300, "try --size 640"),
        (11.2, 300, "--tiles 3"),
        (24, 640, "--tiles 2"),
        (0.1, 300, "--tiles 16"),
    ],
)
def test_objects_are_brought_closer_by_size_then_by_parts(missed_px, side, advice):
    assert closer(missed_px, side).endswith(advice)


def test_a_run_has_them_and_keeps_them_when_resumed(pictures):
    settings_ = Settings(weights="none", width=0.35, size=96, anchors="fit")
    start = first_network(settings_, ("disc", "square"), "made", pictures)
    assert (
        start.card.anchors
        == start.model.anchors
        == fit_anchors(ssd_spec(96), training_boxes(pictures), 96)
    )
    assert start.card.anchors != ssd_spec(96)
    assert "fitted ones" in start.advice
    again = resumed_network(start_fields(start))
    assert again.model.anchors == start.model.anchors
    assert again.advice == ""
    assert again.card == start.card
    own = first_network(replace(settings_, anchors="own"), ("disc", "square"), "made", pictures)
    assert own.model.anchors == ssd_spec(96)
