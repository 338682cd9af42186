"""How far a long evaluation is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")
EVERY_TERMINAL, EVERY_FILE = 0.2, 30.0  # seconds between lines, on a screen and in a log
WIDTH = 30


def watched(
    items: Iterable[T], total: int, done: int = 0, stream: TextIO | None = None
) -> Iterator[T]:
    """The items, with a line that renews itself on a screen, and a line now and then in a log.

    done: how many of the first items took no time, as they were known from before.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    every = EVERY_TERMINAL if terminal else EVERY_FILE
    start = shown = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - shown >= every or (terminal and number == total):
            shown = now
            text = line(number, total, max(number - done, 0) / max(now - start, 1e-9))
            print(
                f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", file=stream
            )
            stream.flush()
    if terminal:
        print(file=stream, flush=True)


def line(number: int, total: int, speed: float) -> str:
    """`[#####.....] 120 of 5,000 pictures  31.2 a second  2:36 left`."""
    bar = ("#" * (number * WIDTH // max(total, 1))).ljust(WIDTH, ".")
    left = "?"
    if speed > 0:
        minutes, seconds = divmod(round((total - number) / speed), 60)
        left = f"{minutes}:{seconds:02d}"
    return f"[{bar}] {number:,} of {total:,} pictures  {speed:.1f} a second  {left} left"
