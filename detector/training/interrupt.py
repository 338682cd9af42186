"""Ctrl-C and SIGTERM as wishes: a run ends after the step it is in, which is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

STDERR = 2
SAID = b"\nstopping after this step; Ctrl-C once more stops at once\n"


class Interrupt:
    """Notes Ctrl-C and SIGTERM between `begin` and `end`; Ctrl-C after that raises at once.

    Nothing changes outside of the main thread, or where somebody else handles Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def begin(self) -> None:
        """From here on they are wishes."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._sent)

    def end(self) -> None:
        """From here on they are orders again."""
        while self._before:
            signal.signal(*self._before.popitem())

    def obey(self) -> None:
        """Raise KeyboardInterrupt if one was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    def _sent(self, number: int, frame: FrameType | None) -> None:
        # `timeout` sends SIGTERM twice; only a person who presses again is in a hurry.
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked:
            # Not print: the run may be in the middle of one, and a stream takes one at a time.
            with contextlib.suppress(OSError):
                os.write(STDERR, SAID)
        self.asked = True


def ignore_interrupts() -> None:
    """In a loader's process: whoever uses the loader decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
