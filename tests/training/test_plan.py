"""What a run works out for itself."""

from contextlib import nullcontext

import pytest

from detector.errors import DetectorError
from detector.training import plan
from detector.training.options import Machine, Settings


def test_how_long_a_run_is_by_default():
    assert plan.default_pictures(200) == 9051
    assert plan.clock(Settings(), Machine(), 200).steps == 566
    assert plan.clock(Settings(epochs=1.5, batch=8), Machine(), 10).steps == 2
    assert plan.clock(Settings(epochs=2, batch=8), Machine(devices=2), 64).steps == 8
    assert plan.clock(Settings(minutes=2), Machine(), 10).seconds == 120


def test_measuring_never_takes_more_than_a_tenth():
    assert plan.measurements(1000, 16, 40) == 10
    assert plan.measurements(60, 16, 40) == 4
    assert plan.measurements(60, 16, 5000) == 1
    assert plan.measurements(0, 16, 40) == 10


@pytest.mark.parametrize(
    ("changes", "whole", "fits"),
    [
        ({}, True, True),
        ({}, False, False),  # a narrower network than the weights'
        ({"bn": "frozen"}, False, True),
        ({"bn": "trained"}, True, False),
        ({"bn": "frozen", "weights": "none"}, True, False),
        ({"head": "ssd"}, True, False),
    ],
)
def test_one_picture_a_step_needs_norms_that_are_kept(changes, whole, fits):
    with nullcontext() if fits else pytest.raises(DetectorError, match="from one picture"):
        plan.check_norms(Settings(batch=1, **changes), whole=whole)
    plan.check_norms(Settings(batch=2, **changes), whole=whole)


def test_when_batch_norms_are_frozen():
    assert plan.frozen_batch_norms(Settings(), 499, whole=True)
    assert not plan.frozen_batch_norms(Settings(), 500, whole=True)
    assert plan.frozen_batch_norms(Settings(batch=7), 5000, whole=True)
    assert not plan.frozen_batch_norms(Settings(), 10, whole=False)
    assert plan.frozen_batch_norms(Settings(bn="frozen"), 5000, whole=True)
    assert not plan.frozen_batch_norms(Settings(bn="trained"), 10, whole=True)


def test_precision_follows_the_cpu(monkeypatch):
    monkeypatch.setattr(plan, "cpu_features", lambda: frozenset({"avx512_bf16", "sse"}))
    assert plan.precision(Settings(size=300)) == "bf16-mixed"
    assert plan.precision(Settings(size=300, precision="32")) == "32"
    monkeypatch.setattr(plan, "cpu_features", lambda: frozenset({"sse"}))
    assert plan.precision(Settings(size=300)) == "32"
