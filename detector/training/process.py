"""How a process that learns on a CPU waits for its threads and keeps its memory."""

from __future__ import annotations

import ctypes
import os
import sys

SPINS = "10000"
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = -1
OWN_CHOICE = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def prepare() -> None:
    """Let threads wait without spinning long, and keep memory that was freed for the next step.

    To be called before torch is loaded, which reads the former then.
    """
    # OpenMP's threads wait for each other spinning, by default so long that a busy machine trains
    # at a tenth of the speed instead of half.
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # glibc gives every map of 32 MB or more back to the kernel as it is freed, and the kernel
    # clears the pages of the next one: half the time of a step in float32.
    if not any(name in os.environ for name in OWN_CHOICE):
        _glibc("mallopt", M_MMAP_MAX, 0)
        _glibc("mallopt", M_TRIM_THRESHOLD, NEVER)


def give_back() -> None:
    """Give memory that is kept for the next step to whoever needs it."""
    _glibc("malloc_trim", 0)


def _glibc(name: str, *args: int) -> None:
    """Call a function of glibc's; nothing where there is none, as on musl or Windows."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*args)
