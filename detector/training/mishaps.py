"""What stops a run from outside, and the line that says how to go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from detector.errors import DetectorError
from detector.training.callbacks import LAST
from detector.training.feed import stuck
from detector.training.options import Settings

# What torch and the system say when memory is short, in parts.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad alloc")


@contextlib.contextmanager
def short_memory(settings: Settings) -> Iterator[None]:
    """Say which batch or workers to use when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, RuntimeError) and stuck(error):
            raise DetectorError(
                "a process that prepares pictures hangs or was killed (out of memory?); use "
                "--workers 0, or fewer"
            ) from error
        if not isinstance(error, MemoryError) and not any(part in text for part in NO_MEMORY):
            raise
        smaller = max(1, settings.batch // 2)
        hint = f"use --batch {smaller}" if smaller < settings.batch else "use a smaller --size"
        raise DetectorError(
            f"out of memory with --batch {settings.batch} at {settings.size} px; {hint}"
        ) from error


@contextlib.contextmanager
def resumable(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Say how to go on with a run that Ctrl-C, a full disk or too little memory stopped.

    Lightning makes an exit with code 1 of Ctrl-C and of SIGTERM; here it is Ctrl-C again.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if (folder / LAST).exists():
            say(f"stopped; go on with --resume {folder}")
        else:
            say("stopped before anything was learned; start the same command again")
        raise KeyboardInterrupt from error
    except DetectorError as error:
        from_outside = isinstance(error.__cause__, (OSError, MemoryError, RuntimeError))
        if from_outside and (folder / LAST).exists():
            raise DetectorError(
                f"{error}; what was learned is kept: once there is room, --resume {folder}"
            ) from error
        raise
