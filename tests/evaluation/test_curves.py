"""Curves and numbers as they are drawn."""

import dataclasses

import numpy as np
import pytest

from detector.evaluation.analysis import ClassFigures
from detector.evaluation.curves import f1_by_threshold, f1_curve, over_steps, precision_recall
from detector.evaluation.svg import SOFT, count, number, short, standalone, themed

# Four detections of two boxes: right, wrong, right, wrong.
ONE = ClassFigures(
    *("cat", 50.0, 75.0, 60.0, 0.8, 0.5, 2 / 3, 1.0, 2, 4),
    recall=np.array([0.5, 0.5, 1.0, 1.0]),
    precision=np.array([1.0, 0.5, 2 / 3, 0.5]),
    scores=np.array([0.9, 0.7, 0.5, 0.1]),
)


@pytest.mark.parametrize(
    ("threshold", "f1"), [(0.0, 2 / 3), (0.1, 2 / 3), (0.2, 0.8), (0.5, 0.8), (0.6, 0.5), (1.0, 0)]
)
def test_f1_at_a_threshold_is_that_of_what_it_keeps(threshold, f1):
    thresholds, values = f1_curve(ONE)
    index = int(np.argmin(abs(thresholds - threshold)))
    assert thresholds[index] == pytest.approx(threshold)
    assert values[index] == pytest.approx(f1)


def test_a_class_that_is_never_found_is_drawn_too():
    nothing = np.zeros(0)
    never = dataclasses.replace(ONE, recall=nothing, precision=nothing, scores=nothing)
    assert not f1_curve(never)[1].any()
    assert "<svg" in precision_recall([never]).svg


def test_long_curves_are_thinned():
    n = 30_000
    tp = np.arange(1, n + 1)
    long = dataclasses.replace(
        ONE, recall=tp / n, precision=np.full(n, 0.5), scores=np.linspace(1, 0, n)
    )
    assert len(precision_recall([long]).svg) < 20_000
    assert len(f1_by_threshold([long], 0.5).svg) < 40_000


def test_a_plot_says_what_it_shows_and_takes_the_colours_of_its_page():
    plot = over_steps([("AP", np.array([1.0, 2.0]), np.array([3.0, 55.5]))], "percent", "p")
    svg = plot.svg
    assert "AP ends at 55.5" in svg
    assert SOFT in svg
    assert SOFT not in themed(plot)
    assert "http" not in svg.replace("http://www.w3.org/", "")
    assert standalone(plot).startswith(b"<?xml")
    assert plot.png().startswith(b"\x89PNG")


def test_the_same_plot_is_the_same_text():
    assert precision_recall([ONE]).svg == precision_recall([ONE]).svg


def test_words():
    assert [count(v) for v in (0, 9_999, 10_000, 2_345_678)] == ["0", "9999", "10k", "2M"]
    assert [number(v) for v in (0.0, 99.96, float("nan"))] == ["0.0", "100.0", "\N{EN DASH}"]
    assert short("a" * 30) == "a" * 17 + "…"
    assert short("_x") == " _x"
    assert short("\n") == "(no name)"
