"""Setups of the embedded model, and a worker that answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detector.benchmark.engines import Setup
from detector.predictor import COCO_FLOAT, COCO_INT8

FOUND = [[0, 0.9, 10.0, 10.0, 50.0, 90.0], [3, 0.6, 60.0, 20.0, 90.0, 80.0]]


@pytest.fixture
def make_setup() -> Callable[..., Setup]:
    """make_setup(engine, precision, threads=1, size=300)."""

    def make(engine: str, precision: str, threads: int = 1, size: int = 300) -> Setup:
        path = COCO_INT8 if precision == "int8" else COCO_FLOAT
        return Setup(engine, precision, str(path), size, threads)

    return make


@pytest.fixture
def answer() -> Callable[..., dict[str, Any]]:
    """answer(ms, **changes): what a worker says of a network that takes `ms` a call."""

    def make(ms: float, **changes: Any) -> dict[str, Any]:
        plain = {"ms": [ms] * 5, "per_second": 1e3 / ms, "load_s": 0.5, "memory": 150_000_000}
        return {**plain, "found": FOUND, **changes}

    return make
