"""The machine is named with what decides its speed, and others' load is told."""

from dataclasses import replace

import cv2
import pytest

from detector.benchmark.machine import Machine, busy_line, machine_line, this_machine

QUIET = Machine("A CPU", 4, ("avx2", "fma"), 1.2, "Linux", "3.10.1", {"OpenCV": "5.0.0"})


def test_this_machine() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.processor
    assert machine.versions["OpenCV"] == cv2.__version__
    assert "OpenVINO" in machine.versions
    assert set(machine.features).isdisjoint({"fpu", "ht"})  # every CPU has those


def test_its_line() -> None:
    line = "A CPU (avx2, fma), 4 cores, load 1.2; Linux, Python 3.10.1, OpenCV 5.0.0"
    assert machine_line(QUIET) == line
    bare = machine_line(replace(QUIET, features=(), load=None))
    assert bare.startswith("A CPU, 4 cores; Linux")


@pytest.mark.parametrize(("load", "busy"), [(None, False), (1.2, False), (1.21, True)])
def test_a_busy_machine_is_told(load: float | None, busy: bool) -> None:
    warning = busy_line(replace(QUIET, load=load))
    assert bool(warning) is busy
    if busy:
        assert "load 1.2 on 4 cores" in warning
