"""The bootstrap: exact at its centre, calm about noise, sure about a real change."""

from dataclasses import replace

import numpy as np
import pytest

from detector.errors import DetectorError
from detector.evaluation.coco import measure_pictures
from detector.evaluation.compare import class_hits, compare, weighted_ap
from detector.evaluation.text import comparison_lines

NAMES = ("cat", "dog", "bird")
BOX, FAR = [0, 0, 100, 100], [200, 200, 300, 300]


def thinned(pictures, keep, seed=0):
    """Pictures of which a share of the detections is left."""
    rng = np.random.default_rng(seed)
    return [replace(p, found=p.found[rng.random(len(p.found)) < keep]) for p in pictures]


def test_weights_are_copies_of_pictures(random_pictures):
    pictures = random_pictures(3)
    times = np.random.default_rng(0).integers(0, 3, len(pictures))
    copies = [p for p, n in zip(pictures, times, strict=True) for _ in range(n)]
    each = [weighted_ap(one, times[None])[0].mean() for one in class_hits(pictures, 3)]
    assert np.nanmean(each) * 100 == pytest.approx(measure_pictures(copies, 3)["AP"], abs=0.5)
    once = [
        weighted_ap(one, np.ones_like(times)[None])[0].mean() for one in class_hits(pictures, 3)
    ]
    assert np.nanmean(once) * 100 == pytest.approx(measure_pictures(pictures, 3)["AP"], abs=1e-9)


def test_the_centre_is_the_figure_itself(coco_val):
    pictures, names = coco_val
    other = thinned(pictures, 0.7)
    found = compare(pictures, other, names, draws=50)
    assert found["AP"].a == pytest.approx(measure_pictures(pictures, 80)["AP"])
    assert found["AP"].b == pytest.approx(measure_pictures(other, 80)["AP"])
    assert found["AP"].low < found["AP"].b - found["AP"].a < found["AP"].high
    assert found["AP"].high < 0
    assert found["AP"].sure


def test_the_same_twice_is_no_change(random_pictures):
    pictures = random_pictures(4)
    found = compare(pictures, pictures, NAMES, draws=20)
    assert (found["AP"].low, found["AP"].high) == (0, 0)
    assert not any(d.sure for d in found.values())


def test_it_is_the_same_every_time(random_pictures):
    pictures = random_pictures(5)
    other = thinned(pictures, 0.5)
    assert str(compare(pictures, other, NAMES)) == str(compare(pictures, other, NAMES))


def half_right(picture, better):
    """Twenty pictures of a cat each; `better` of them are found."""
    return [
        picture([(0, BOX)], [(0, 0.9, BOX if n < better else FAR)], name=str(n)) for n in range(20)
    ]


def test_one_picture_more_may_be_chance_and_many_are_not(picture):
    before = half_right(picture, 10)
    little, much = half_right(picture, 11), half_right(picture, 18)
    assert not compare(before, little, NAMES)["AP"].sure
    assert compare(before, much, NAMES)["AP"].sure
    assert not compare(much, before, NAMES)["AP"].low > 0
    text = "\n".join(comparison_lines(compare(before, much, NAMES), "runs/a", "runs/b"))
    assert "better" in text
    assert "2 more classes are in fewer than 10 pictures" in text


def test_a_class_in_few_pictures_is_never_sure(picture):
    before = [picture([(0, BOX)], [(0, 0.9, FAR)])] * 3
    after = [picture([(0, BOX)], [(0, 0.9, BOX)])] * 3
    found = compare(before, after, NAMES)["AP cat"]
    assert (found.low, found.high) == (100, 100)  # in every draw
    assert not found.sure


def test_other_pictures_or_labels_cannot_be_compared(picture):
    one = picture([(0, BOX)])
    for other in ([], [one, one], [picture([(1, BOX)])], [picture([(0, FAR)])]):
        with pytest.raises(DetectorError, match="not measured on the same labelled pictures"):
            compare([one], other, NAMES)
    with pytest.raises(DetectorError, match="no pictures"):
        compare([], [], NAMES)
