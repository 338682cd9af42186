"""VOC's AP: the published toy example, and an independent count with difficult boxes."""

import numpy as np
import pytest

from detector.evaluation.table import tabulate
from detector.evaluation.voc import voc_ap, voc_figures

BOX = [0, 0, 100, 100]


@pytest.mark.parametrize(("iou", "figures"), [(0.5, (88.64, 89.58)), (0.75, (49.24, 50.97))])
def test_the_published_toy_example(voc_toy, iou, figures):
    (ap,) = voc_ap(tabulate(voc_toy, 1), iou) * 100
    assert ap.tolist() == pytest.approx(figures, abs=0.005)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def by_the_book(pictures, label, least):
    """One class, box by box, as the devkit describes it; None where nothing is to be found."""
    rows = [
        (-score, number, box.tolist())
        for number, p in enumerate(pictures)
        for box, score, name in p.found
        if name == p.found.class_names[label]
    ]
    truths = [
        [
            (b.tolist(), bool(i))
            for b, k, i in zip(p.xyxy, p.labels, p.ignore, strict=True)
            if k == label
        ]
        for p in pictures
    ]
    total = sum(not difficult for boxes in truths for _, difficult in boxes)
    if not total:
        return None
    taken, points, hits, alarms = set(), [], 0, 0
    for _, number, box in sorted(rows, key=lambda row: row[0]):
        ious = [overlap(box, other) for other, _ in truths[number]]
        best = max(ious, default=0)
        which = ious.index(best) if ious else -1
        if best >= least and truths[number][which][1]:
            continue
        if best >= least and (number, which) not in taken:
            taken.add((number, which))
            hits += 1
        else:
            alarms += 1
        points.append((hits / total, hits / (hits + alarms)))
    eleven = [max([p for r, p in points if r >= n / 10], default=0) for n in range(11)]
    area = last = 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return sum(eleven) / 11, area


@pytest.mark.parametrize("least", [0.3, 0.5, 0.75])
def test_an_independent_count_agrees(voc_100, least):
    names = voc_100[0].found.class_names
    assert sum(int(p.ignore.sum()) for p in voc_100) > 30
    ours = voc_ap(tabulate(voc_100, len(names)), least)
    theirs = [by_the_book(voc_100, label, least) or (np.nan, np.nan) for label in range(len(names))]
    assert ours == pytest.approx(np.array(theirs), abs=1e-9, nan_ok=True)
    assert np.nanmean(ours) > 0.3


def test_the_second_on_a_box_is_false_even_where_another_is_free(picture):
    # The second overlaps the taken box most; COCO would give it the free one.
    truth = [(0, BOX), (0, [0, 0, 100, 140])]
    ap = voc_ap(tabulate([picture(truth, [(0, 0.9, BOX), (0, 0.8, [0, 0, 100, 105])])], 3))
    assert ap[0] == pytest.approx([6 / 11, 0.5])


def test_difficult_boxes_count_neither_way(picture):
    truth, found = (
        [(0, BOX), (0, [200, 0, 300, 100])],
        [(0, 0.9, [200, 0, 300, 100]), (0, 0.8, BOX)],
    )
    assert voc_ap(tabulate([picture(truth, found, ignore=[1])], 3))[0].tolist() == [1, 1]


def test_nothing_found_is_0_and_nothing_to_find_is_nan(picture):
    ap = voc_ap(tabulate([picture([(0, BOX)])], 3))
    assert ap[0].tolist() == [0, 0]
    assert np.isnan(ap[1:]).all()
    assert list(voc_figures(tabulate([picture([(0, BOX)])], 3)).values()) == [0, 0]
    assert np.isnan(list(voc_figures(tabulate([picture()], 3)).values())).all()
