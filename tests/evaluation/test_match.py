"""Matching: the rules one by one, and pycocotools' AP from our matches."""

import numpy as np
import pytest

from detector.evaluation.coco import coco_arrays
from detector.evaluation.match import COCO_IOUS, NONE, iou, match
from detector.evaluation.precision_recall import average_precision
from detector.evaluation.table import MOST, counted_by_coco, tabulate

BOX = [0, 0, 100, 100]


def aps(table):
    """(T, K) AP of our own matches; -1 where nothing was to be found, as pycocotools says it."""
    matches, truth = match(table, COCO_IOUS), table.truth
    wanted = np.bincount(truth.labels[~truth.ignore], minlength=table.classes)
    rows = [table.found.labels == label for label in range(table.classes)]
    return [
        [
            average_precision(right[r & ~ignored], n) if n else -1
            for r, n in zip(rows, wanted, strict=True)
        ]
        for right, ignored in zip(matches.right, matches.ignored, strict=True)
    ]


@pytest.mark.slow
def test_our_matches_give_pycocotools_ap_on_real_pictures(coco_val):
    table = tabulate(coco_val[0], 80)
    theirs = coco_arrays(table, "pycocotools").precision[..., 0].mean(axis=1)
    assert np.array(aps(table)) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seed", range(20, 32))
def test_our_matches_give_pycocotools_ap_with_crowds_and_ties(random_pictures, seed):
    table = tabulate(random_pictures(seed), 3)
    theirs = coco_arrays(table, "pycocotools").precision[..., 0].mean(axis=1)
    assert np.array(aps(table)) == pytest.approx(theirs, abs=1e-12)
    assert theirs.max() > 0


def test_the_better_score_takes_the_box(picture):
    found = match(tabulate([picture([(0, BOX)], [(0, 0.5, BOX), (0, 0.9, [0, 0, 100, 90])])], 3))
    assert found.truth.tolist() == [[0, NONE]]
    assert found.right.tolist() == [[True, False]]


def test_another_class_or_picture_is_no_match(picture):
    pictures = [picture([(0, BOX)], [(1, 0.9, BOX)]), picture([], [(0, 0.8, BOX)])]
    assert not match(tabulate(pictures, 3)).right.any()


def test_a_crowd_takes_many_and_a_wanted_box_comes_first(picture):
    crowd = [0, 0, 300, 100]
    found = [(0, 0.9, BOX), (0, 0.8, [100, 0, 200, 100]), (0, 0.7, [200, 0, 300, 100])]
    matches = match(tabulate([picture([(0, crowd), (0, BOX)], found, ignore=[0])], 3))
    assert matches.right.tolist() == [[True, False, False]]
    assert matches.ignored.tolist() == [[False, True, True]]


def test_coco_looks_at_the_best_hundred_of_a_class_alone(picture):
    found = [(0, 1 - n / 1000, [0, n, 10, n + 10]) for n in range(150)]
    assert len(tabulate([picture([], found)], 3).found.scores) == 150
    assert len(counted_by_coco(tabulate([picture([], found)], 3)).found.scores) == MOST
    both = [*found, *((1, score, box) for _, score, box in found)]
    kept = counted_by_coco(tabulate([picture([], both)], 3)).found
    assert len(kept.scores) == 2 * MOST
    assert kept.scores.min() == pytest.approx(1 - 0.099)


def test_iou_of_boxes_and_share_inside_one_to_ignore():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 0, 0]])
    overlap = iou(boxes, boxes[:1], np.array([False]))
    assert overlap[:, 0] == pytest.approx([1, 1 / 3, 0])
    assert iou(boxes, boxes[:1], np.array([True]))[:, 0] == pytest.approx([1, 0.5, 0])
