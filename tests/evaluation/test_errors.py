"""Kinds of mistakes and their costs, on cases made by hand after TIDE's definitions."""

import numpy as np
import pytest

from detector.evaluation.errors import KINDS, RIGHT, costs, find_errors
from detector.evaluation.match import NONE, match
from detector.evaluation.table import tabulate

BOX = [0, 0, 100, 100]
SHIFTED = [50, 0, 150, 100]  # IoU 1/3 with BOX
GRAZED = [95, 0, 195, 100]  # IoU 0.026
FAR = [200, 200, 300, 300]


def errors_of(*pictures):
    table = tabulate(pictures, 3)
    matches = match(table)
    return table, matches, find_errors(table, matches)


def kinds(*pictures):
    found = errors_of(*pictures)[2].kind
    return ["right" if kind == RIGHT else KINDS[kind] for kind in found]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((0, 0.9, BOX), "right"),
        ((1, 0.9, BOX), "classification"),
        ((0, 0.9, SHIFTED), "localisation"),
        ((1, 0.9, SHIFTED), "both"),
        ((0, 0.9, GRAZED), "background"),
        ((1, 0.9, FAR), "background"),
    ],
)
def test_the_kind_of_one_detection(picture, found, kind):
    assert kinds(picture([(0, BOX)], [found])) == [kind]


def test_the_second_on_a_box_is_a_duplicate(picture):
    found = [(0, 0.9, BOX), (0, 0.8, BOX)]
    assert kinds(picture([(0, BOX)], found)) == ["right", "duplicate"]


def test_what_is_found_in_a_crowd_is_no_mistake(picture):
    _, _, errors = errors_of(picture([(0, BOX)], [(0, 0.9, BOX)], ignore=[0]))
    assert errors.kind.tolist() == [RIGHT]
    assert not errors.missed.any()


def test_pictures_without_boxes_have_only_background(picture):
    assert kinds(picture([], [(0, 0.9, BOX)]), picture([(1, FAR)])) == ["background"]


def test_a_box_found_as_another_class_or_beside_is_not_missed(picture):
    truth = [(0, BOX), (1, FAR), (2, [0, 300, 50, 350])]
    _, _, errors = errors_of(picture(truth, [(2, 0.9, BOX), (1, 0.8, [200, 250, 300, 350])]))
    assert errors.missed.tolist() == [False, False, True]
    assert errors.truth.tolist() == [0, 1]


def test_background_is_about_no_box(picture):
    assert errors_of(picture([(0, BOX)], [(0, 0.9, FAR)]))[2].truth.tolist() == [NONE]


def test_each_kind_costs_what_mending_it_gains(picture):
    # Per class one box; AP50 is 0 for each, and one mistake in its way.
    pictures = [
        picture([(0, BOX)], [(0, 0.9, SHIFTED)]),
        picture([(1, BOX)], [(2, 0.9, BOX)]),
        picture([(2, FAR)]),
    ]
    cost = costs(*errors_of(*pictures))
    third = 100 / 3
    assert cost["localisation"] == pytest.approx(third)
    assert cost["classification"] == pytest.approx(third)
    assert cost["missed"] == pytest.approx(0)  # class 2 is no longer wanted: two zeros are left
    assert cost["both"] == cost["background"] == cost["duplicate"] == 0


def test_a_false_alarm_before_a_hit_costs_its_precision(picture):
    found = [(0, 0.9, FAR), (0, 0.8, BOX)]
    cost = costs(*errors_of(picture([(0, BOX)], found)))
    assert cost["background"] == pytest.approx(50)
    assert sum(cost.values()) == pytest.approx(50)


def test_a_missed_box_costs_its_share(picture):
    cost = costs(*errors_of(picture([(0, BOX), (0, FAR)], [(0, 0.9, BOX)])))
    assert cost["missed"] == pytest.approx(100 * 50 / 101)


def test_mending_a_box_found_already_drops_the_lower_score(picture):
    found = [(0, 0.9, SHIFTED), (0, 0.8, BOX)]
    cost = costs(*errors_of(picture([(0, BOX)], found)))
    assert cost["localisation"] == pytest.approx(50)  # the mended one stays, and is first
    below = [(0, 0.9, BOX), (0, 0.8, SHIFTED)]
    assert costs(*errors_of(picture([(0, BOX)], below)))["localisation"] == 0


def test_nothing_to_find_costs_nan(picture):
    assert np.isnan(list(costs(*errors_of(picture([], [(0, 0.9, BOX)]))).values())).all()


def test_real_pictures_have_each_kind_and_every_false_alarm_has_one(coco_val):
    table, matches, errors = errors_of_all(coco_val)
    wrong = ~matches.right[0] & ~matches.ignored[0]
    assert np.array_equal(errors.kind != RIGHT, wrong)
    assert len(np.unique(errors.kind)) == len(KINDS)  # all but missed, and RIGHT
    cost = costs(table, matches, errors)
    assert min(cost.values()) > 0
    assert cost["localisation"] > cost["duplicate"]


def errors_of_all(coco_val):
    table = tabulate(coco_val[0], 80)
    matches = match(table)
    return table, matches, find_errors(table, matches)
