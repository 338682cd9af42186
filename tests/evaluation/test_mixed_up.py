"""Confusion matrices made readable."""

import numpy as np

from detector.evaluation.mixed_up import MixUp, mix_ups, most_mixed_up

NAMES = ("a", "b", "c", "d")
# Rows the truth, columns what was found; last: nothing there, missed.
MATRIX = np.array(
    [[9, 0, 2, 0, 0], [0, 50, 0, 0, 1], [0, 0, 3, 0, 0], [0, 0, 5, 1, 0], [0, 0, 0, 0, 0]]
)


def test_a_small_matrix_stays_as_it_is():
    matrix, names = most_mixed_up(MATRIX, NAMES, 4)
    assert names == NAMES
    assert matrix is MATRIX


def test_of_a_large_one_the_classes_mixed_up_stay_with_its_rim():
    matrix, names = most_mixed_up(MATRIX, NAMES, 2)
    assert names == ("c", "d")
    np.testing.assert_array_equal(matrix, [[3, 0, 0], [5, 1, 0], [0, 0, 0]])
    _, names = most_mixed_up(MATRIX, NAMES, 3)
    assert names == ("a", "c", "d")


def test_without_mix_ups_the_missed_count():
    diagonal = np.diag([5, 5, 5, 5, 0])
    diagonal[1, 4] = 3
    assert most_mixed_up(diagonal, NAMES, 1)[1] == ("b",)


def test_pairs_come_most_frequent_first():
    assert mix_ups(MATRIX, NAMES, 9) == [MixUp("d", "c", 5, 6), MixUp("a", "c", 2, 11)]
    assert len(mix_ups(MATRIX, NAMES, 1)) == 1
    assert mix_ups(np.zeros((2, 2), np.int64), ["a"], 5) == []
