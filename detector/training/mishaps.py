"""What stops a run from outside, and the line that says how to go on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from detector.errors import DetectorError, OutOfMemoryError, no_memory
from detector.training.callbacks import LAST
from detector.training.feed import stuck, terminated
from detector.training.folder import read_command
from detector.training.options import Settings
from detector.training.plan import SIZES


class TooLargeError(DetectorError):
    """Memory ran out, and the message says how to begin again with less."""


@contextlib.contextmanager
def short_memory(settings: Settings, folder: Path) -> Iterator[None]:
    """Say how to begin again, with another batch or with fewer workers, when memory runs out.

    Whoever terminates the loader's processes ends the run: `timeout`, systemd and Slurm send
    SIGTERM to all of them, and theirs may be heard of before our own.
    """
    try:
        yield
    except OutOfMemoryError:  # a single picture, which no other batch makes smaller
        raise
    except (MemoryError, RuntimeError) as error:
        if terminated(error):
            raise KeyboardInterrupt from error
        if isinstance(error, RuntimeError) and stuck(error):
            raise DetectorError(
                "a process that prepares pictures hangs or was killed (out of memory?); use "
                "--workers 0, or fewer"
            ) from error
        if not no_memory(error):
            raise
        raise TooLargeError(
            f"out of memory with --batch {settings.batch} at {settings.size} px; "
            f"{with_less(settings, folder)}"
        ) from error


def with_less(settings: Settings, folder: Path) -> str:
    """How to begin the run in `folder` again with half the batch, or else a smaller size.

    A resumed run cannot take another batch: it would see other pictures than one never stopped.
    What is in its last.ckpt is where a new one may begin.
    """
    if settings.batch > 1:
        changed = {"--batch": str(settings.batch // 2)}
    else:
        changed = {"--size": str(max(SIZES[0], settings.size * 3 // 4))}
    option, value = next(iter(changed.items()))
    words = read_command(folder)
    if not (folder / LAST).exists():
        begin = replaced(words, {**changed, "--overwrite": ""})
        return f"use {option} {value}: {shlex.join(begin)}"
    changed |= {"--weights": str(folder / LAST), "--name": f"{folder.name}-2"}
    return (
        f"use {option} {value} in a new run that begins with what this one learned: "
        f"{shlex.join(replaced(words, changed))} (or, with more memory, --resume {folder})"
    )


def replaced(words: list[str], options: dict[str, str]) -> list[str]:
    """A command's words with options set to other values; "" is the value of a flag."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.partition("=")[0]
        if name not in options:
            kept.append(word)
        elif "=" not in word and options[name]:
            next(rest, None)  # its value
    return kept + [part for pair in options.items() for part in pair if part]


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
            say("stopped before anything was kept; give the same command again with --overwrite")
        raise KeyboardInterrupt from error
    except TooLargeError:
        raise
    except DetectorError as error:
        from_outside = isinstance(error.__cause__, (OSError, MemoryError, RuntimeError))
        if from_outside and (folder / LAST).exists():
            raise DetectorError(
                f"{error}; what was learned is kept: once there is room, --resume {folder}"
            ) from error
        raise
