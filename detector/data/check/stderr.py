"""What C libraries print to standard error: libjpeg tells of damage there, and nowhere else."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

# "Premature end of data segment", "56 extraneous bytes before marker 0xd9", "bad Huffman code":
# the picture is decoded all the same, wrongly from there on. One line a picture at most.
_LIBJPEG = re.compile(r"^(Corrupt JPEG data|Premature end of JPEG|Invalid SOS|Unsupported marker)")


@contextmanager
def libjpeg_heard() -> Iterator[list[str]]:
    """Collect libjpeg's lines while the block runs, by all threads; complete when it ends.

    File descriptor 2 of the whole process is a temporary file meanwhile; other lines are passed on
    afterwards. Where that cannot be had (no standard error, no room, or a C library with a
    descriptor 2 of its own, as may be on Windows) the list stays empty and lines go where they did.
    """
    lines: list[str] = []
    with ExitStack() as stack:
        try:
            saved = os.dup(2)
            stack.callback(os.close, saved)
            file = stack.enter_context(tempfile.TemporaryFile())
        except OSError:
            yield lines
            return
        _flush()
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            _flush()
            os.dup2(saved, 2)
            _sort(file, lines)


def _sort(file: IO[bytes], lines: list[str]) -> None:
    """Put libjpeg's lines into `lines` and print the others."""
    file.seek(0)
    for line in file.read().decode(errors="replace").splitlines():
        if _LIBJPEG.match(line):
            lines.append(line)
        else:
            print(line, file=sys.stderr)


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):  # AttributeError: pythonw has no stderr
        sys.stderr.flush()
