"""Curves, best F1, AP and calibration of short rows of hits and misses."""

import math

import numpy as np
import pytest

from detector.evaluation.precision_recall import (
    average_precision,
    best_f1,
    curve,
    interpolated_mean,
    reliability,
)

RIGHT = np.array([True, False, True, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.1])


def test_a_curve_by_hand():
    of = curve(RIGHT, SCORES, 4)
    assert of.recall.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert of.precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_best_f1_and_where_it_is():
    best = best_f1(curve(RIGHT, SCORES, 2))
    assert (best.threshold, best.recall) == (0.7, 1)
    assert best.f1 == pytest.approx(0.8)


def test_a_threshold_takes_all_of_equal_scores():
    # Between the two of 0.9 no threshold can come: the hit alone would have F1 = 1.
    best = best_f1(curve(np.array([True, False]), np.array([0.9, 0.9]), 1))
    assert best.f1 == pytest.approx(2 / 3)


def test_nothing_found_or_nothing_right_has_no_best():
    assert best_f1(curve(RIGHT[:0], SCORES[:0], 3)).f1 == 0
    assert best_f1(curve(np.zeros(4, bool), SCORES, 3)).threshold == 0


def test_average_precision_by_hand():
    # Recalls 0 .. 0.5 have precision 1, 0.51 .. 1 two thirds.
    assert average_precision(RIGHT, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(RIGHT[:0], 2) == 0
    assert math.isnan(average_precision(RIGHT, 0))


def test_interpolation_works_on_many_curves_at_once():
    recall = np.array([[0.5, 1.0], [0.0, 0.25]])
    precision = np.array([[1.0, 0.5], [1.0, 1.0]])
    each = [float(interpolated_mean(r, p)) for r, p in zip(recall, precision, strict=True)]
    assert interpolated_mean(recall, precision) == pytest.approx(each)
    assert each == pytest.approx([(51 + 50 * 0.5) / 101, 26 / 101])


def test_reliability_counts_every_detection_once():
    bins = reliability(RIGHT, SCORES)
    assert bins[:, 2].sum() == 4
    assert bins[9] == pytest.approx([0.9, 1, 1])
    assert bins[1] == pytest.approx([0.1, 0, 1])
    assert np.isnan(bins[0, :2]).all()
    assert reliability(np.array([True]), np.array([1.0]))[9].tolist() == [1, 1, 1]
