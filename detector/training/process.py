"""What makes a process learn fast on a CPU, and has to be said before torch is loaded."""

from __future__ import annotations

import ctypes
import os
import sys

SPINS = "10000"
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT = 2**31 - 1  # bytes: the most that an int can say


def prepare() -> None:
    """Let threads wait without spinning long, and keep memory that was freed for the next step."""
    # OpenMP's threads wait for each other spinning, by default so long that a busy machine trains
    # at a tenth of the speed instead of half.
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # glibc gives every map of 32 MB or more back to the kernel as it is freed, and the kernel
    # clears the pages of the next one: half the time of a step in float32.
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, KEPT)
