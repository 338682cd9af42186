"""The whole analysis: of cases made by hand, and of real pictures against pycocotools' own."""

import math

import numpy as np
import pytest

from detector.evaluation.analyse import analyse
from detector.evaluation.coco import measure_pictures
from detector.evaluation.metrics import as_metrics
from detector.evaluation.text import analysis_lines

NAMES = ("cat", "dog", "bird")
BOX, OTHER, FAR = [0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]


@pytest.fixture(scope="module")
def real(coco_val):
    pictures, names = coco_val
    return pictures, names, analyse(pictures, names)


def test_real_pictures_figures_and_classes_fit_together(real):
    pictures, names, analysis = real
    assert analysis.figures == pytest.approx(measure_pictures(pictures, len(names)))
    known = [c for c in analysis.classes if c.truths]
    assert np.mean([c.ap for c in known]) == pytest.approx(analysis.figures["AP"])
    assert np.mean([c.ap50 for c in known]) == pytest.approx(analysis.figures["AP50"])
    assert np.mean([c.ar for c in known]) == pytest.approx(analysis.figures["AR 100"])
    assert all(math.isnan(c.ap) for c in analysis.classes if not c.truths)
    assert analysis.pictures == 128
    assert 0.2 < analysis.threshold < 0.5


def test_what_was_found_in_a_crowd_is_not_missed(picture):
    """COCO's figures look at 100 detections of a class, which is no mistake of the detector's."""
    boxes = [
        [10 * (n % 20), 10 * (n // 20), 10 * (n % 20) + 9, 10 * (n // 20) + 9] for n in range(150)
    ]
    found = [(0, 1 - n / 1000, box) for n, box in enumerate(boxes)]
    crowd = picture([(0, box) for box in boxes], found)
    analysis = analyse([crowd, picture([(1, BOX)], [(1, 0.9, BOX)])], NAMES)
    assert analysis.crowded == 1
    cat = analysis.classes[0]
    assert cat.ar == pytest.approx(100 * 100 / 150)
    assert (cat.best_f1, cat.best_recall, cat.found) == (1, 1, 150)
    assert analysis.confusion.tolist() == np.diag([150, 1, 0, 0]).tolist()
    assert analysis.costs["missed"] == 0
    assert analysis.worst == []
    assert any("1 picture with more than 100 objects" in line for line in analysis_lines(analysis))
    assert cat.voc == pytest.approx((100, 100))


def test_real_pictures_confusion_counts_every_box_once(real):
    _, _, analysis = real
    truths = [c.truths for c in analysis.classes]
    assert analysis.confusion[:-1].sum(axis=1).tolist() == truths
    assert analysis.confusion[-1, -1] == 0
    assert np.trace(analysis.confusion) > sum(truths) / 3


def test_real_pictures_best_f1_is_on_the_curve(real):
    person = next(c for c in real[2].classes if c.name == "person")
    row = np.flatnonzero(person.scores == person.best_threshold)[-1]
    assert (person.recall[row], person.precision[row]) == (
        person.best_recall,
        person.best_precision,
    )
    f1 = 2 * person.recall * person.precision / np.maximum(person.recall + person.precision, 1e-9)
    assert person.best_f1 == f1.max()
    assert person.found > len(person.scores)  # those in crowds are on no curve


def test_real_pictures_reliability_rises_with_the_score(real):
    bins = real[2].reliability
    assert bins[:, 2].sum() > 10_000
    assert bins[9, 1] > 0.9 > 0.1 > bins[0, 1]


def test_real_pictures_worst_come_first(real):
    worst = real[2].worst
    assert len(worst) == 24
    assert [w.cost for w in worst] == sorted((w.cost for w in worst), reverse=True)
    for one in worst:
        cost = sum(0.5 if math.isnan(m.score) else m.score for m in one.mistakes)
        assert cost == pytest.approx(one.cost, rel=1e-5)


def test_confusion_by_hand(picture):
    truth = [(0, BOX), (1, OTHER), (2, FAR)]
    found = [(0, 0.9, BOX), (2, 0.8, OTHER), (1, 0.7, [0, 350, 50, 400])]
    confusion = analyse([picture(truth, found)], NAMES).confusion
    # The best F1 is at 0.9: below it there are only mistakes.
    assert confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    sure = [(0, 0.5, BOX), (2, 0.8, OTHER), (1, 0.7, [0, 350, 50, 400])]
    confusion = analyse([picture(truth, sure)], NAMES).confusion
    assert confusion.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_crowds_are_in_no_count(picture):
    found = [(0, 0.9, BOX), (0, 0.8, OTHER)]
    analysis = analyse([picture([(0, BOX), (0, OTHER)], found, ignore=[1])], NAMES)
    assert analysis.classes[0].truths == 1
    assert analysis.confusion.sum() == 1
    assert analysis.reliability[:, 2].sum() == 1
    assert analysis.worst == []


def test_mistakes_say_what_they_are_and_the_gravest_is_first(picture):
    truth = [(0, BOX), (1, OTHER), (2, FAR)]
    found = [(0, 0.5, BOX), (2, 0.8, OTHER), (1, 0.7, [0, 350, 50, 400])]
    (worst,) = analyse([picture(truth, found), picture()], NAMES).worst
    told = [(m.kind, m.name, m.truth) for m in worst.mistakes]
    assert told == [
        ("classification", "bird", "dog"),
        ("background", "dog", ""),
        ("missed", "bird", "bird"),
    ]
    assert worst.cost == pytest.approx(2.0)


def test_nothing_found(picture):
    analysis = analyse([picture([(0, BOX)])], NAMES)
    assert analysis.figures["AP"] == 0
    assert (analysis.threshold, analysis.classes[0].best_f1) == (0, 0)
    assert analysis.confusion[0, 3] == 1
    assert [m.kind for m in analysis.worst[0].mistakes] == ["missed"]
    assert as_metrics(analysis)["AP"] == 0


def test_nothing_to_find(picture):
    analysis = analyse([picture([], [(0, 0.9, BOX)])], NAMES)
    assert math.isnan(analysis.figures["AP"])
    assert as_metrics(analysis)["AP"] is None
    assert math.isnan(analysis.classes[0].best_f1)
    assert analyse([picture()], NAMES).worst == []


def test_at_most_so_many_worst(picture):
    assert len(analyse([picture([(0, BOX)])] * 5, NAMES, worst=2).worst) == 2
