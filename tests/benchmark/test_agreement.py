"""Two engines agree when the surest detections are the same."""

import numpy as np
import pytest

from detector.benchmark.agreement import MOST, agreement, as_found, disagreement
from detector.detections import Detections

CAT = [1, 0.8, 0.0, 0.0, 10.0, 10.0]
DOG = [2, 0.2, 50.0, 50.0, 90.0, 90.0]


@pytest.mark.parametrize(
    ("found", "share"),
    [
        ([CAT, DOG], 1.0),
        ([DOG, CAT], 1.0),
        ([CAT], 0.8),
        ([DOG], 0.2),
        ([], 0.0),
        ([[1, 0.41, 0.0, 0.0, 10.0, 6.0]], 0.8),  # less sure, and looser
        ([[1, 0.39, 0.0, 0.0, 10.0, 10.0]], 0.0),  # not sure enough
        ([[1, 0.8, 0.0, 0.0, 10.0, 4.0]], 0.0),  # too loose
        ([[3, 0.8, 0.0, 0.0, 10.0, 10.0]], 0.0),  # another class
        ([[1, 0.8, 20.0, 0.0, 30.0, 10.0]], 0.0),  # elsewhere
    ],
)
def test_what_counts_as_found(found, share: float) -> None:
    assert agreement([CAT, DOG], found) == pytest.approx(share)


def test_nothing_expected_is_found() -> None:
    assert agreement([], [CAT]) == 1.0


def test_only_the_best_are_compared() -> None:
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (MOST + 5, 1))
    scores = np.linspace(0.9, 0.1, MOST + 5, dtype=np.float32)
    found = as_found(Detections(boxes, scores, np.ones(MOST + 5, np.int64), ("a", "cat")))
    assert len(found) == MOST
    assert found[0] == pytest.approx([1, 0.9, 0, 0, 10, 10])


def test_what_is_said_of_a_wrong_engine() -> None:
    assert disagreement([CAT, DOG], [CAT], "another", "a frame") == ""
    said = disagreement([CAT, DOG], [DOG], "another", "a frame")
    assert said == "computes this file wrongly: it finds 20% of what another finds in a frame"
