"""How a process that learns uses threads and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from detector.training import process

KEEPS = """
import ctypes, sys
from detector.training import process
if sys.argv[1] == "prepared":
    process.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
    return int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[7])

first = faults()
print(faults() - first)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_was_freed_is_there_for_the_next_step():
    """64 MB written again: 16,384 pages are cleared anew, or next to none."""

    def cleared(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", KEEPS, how], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert cleared("prepared") < 100
    assert cleared("not") > 10_000


FORKS = """
import ctypes, os, sys
from detector.training import process
process.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def step(value):
    block = libc.malloc(128 << 20)
    ctypes.memset(block, value, 128 << 20)
    libc.free(block)

step(1)
told, ask = os.pipe(), os.pipe()
if os.fork() == 0:
    if sys.argv[1] == "settled":
        process.settle_worker()
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
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
    assert process.os.environ["GOMP_SPINCOUNT"] == "7"


def test_where_the_allocator_cannot_be_told_nothing_happens(monkeypatch):
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())  # as musl's
    process.prepare()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(process.ctypes, "CDLL", None)
    process.prepare()
