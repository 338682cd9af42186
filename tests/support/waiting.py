"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true value of `true()`; AssertionError, naming `what`, when none comes in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")
