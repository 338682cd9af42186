"""How a process that learns uses threads and memory."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from detector.training import process

LIBC = """
import ctypes, os, sys
from detector.training import process
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
"""
KEEPS = (
    LIBC
    + """
if sys.argv[1] == "prepared":
    process.prepare()
SIZE = 2600 << 20  # the allocator counts some of its limits in ints
PAGE = 4096

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * PAGE

block = libc.malloc(SIZE)
ctypes.memset(block, 1, 64 << 20)
libc.free(block)
kept = resident()
process.give_back()
print(kept >> 20, resident() >> 20)
"""
)
glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)


@glibc
def test_memory_that_was_freed_is_there_for_the_next_step_until_it_is_given_back():
    """Megabytes resident after 64 that were written to are freed, and after that."""

    def resident(how: str, **environment: str) -> tuple[int, int]:
        done = subprocess.run(
            [sys.executable, "-c", KEEPS, how],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        kept, given_back = done.stdout.split()
        return int(kept), int(given_back)

    kept, given_back = resident("prepared")
    assert kept >= 64
    assert given_back <= kept - 60
    assert resident("not")[0] <= kept - 60
    assert resident("prepared", MALLOC_TRIM_THRESHOLD_="65536")[0] <= kept - 60


FORKS = (
    LIBC
    + """
process.prepare()

def step(value):
    block = libc.malloc(128 << 20)
    ctypes.memset(block, value, 128 << 20)
    libc.free(block)

step(1)
told, ask = os.pipe(), os.pipe()
if os.fork() == 0:
    if sys.argv[1] == "settled":
        process.give_back()
    os.write(told[1], b"forked")
    os.read(ask[0], 1)  # until the parent has written
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Private_Dirty:"):
            print(int(line.split()[1]) >> 10)
    sys.stdout.flush()
    os._exit(0)
os.read(told[0], 6)
step(2)
os.write(ask[1], b"!")
os.wait()
"""
)


@glibc
def test_a_worker_holds_no_copy_of_the_memory_that_its_parent_keeps():
    """Megabytes of the forked process's own, after its parent's next step of 128 MB."""

    def own(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FORKS, how], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert own("settled") < 64
    assert own("not") > 120


def test_a_users_own_choice_of_spinning_stays(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    process.prepare()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_where_the_allocator_cannot_be_told_nothing_happens(monkeypatch):
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())  # as musl's
    process.prepare()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(process.ctypes, "CDLL", None)
    process.prepare()
