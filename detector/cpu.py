"""What the CPU at hand can do: how many cores, and whether int8 pays."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import cv2

CPUINFO = Path("/proc/cpuinfo")
# Instructions that multiply int8 and add up int32 in one go, as Linux spells them: two kinds of
# VNNI and AMX on x86, dotprod and the int8 matrix product on Arm.
INT8_FEATURES = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
# CPU_AVX_512VNNI and CPU_NEON_DOTPROD of OpenCV's CpuFeatures, which Python has no names for.
OPENCV_INT8_FEATURES = (23, 101)


def usable_cores() -> int:
    """Cores this process may run on, which in a container or under taskset are not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The first core's features as Linux names them; empty where that file is missing."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():  # one core is enough: all are told alike
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, Arm
            return frozenset(value.split())
    return frozenset()


def has_int8_dot() -> bool:
    """Whether the CPU multiplies int8 faster than float: VNNI or AMX on x86, dotprod on Arm.

    OpenVINO is no help: it lists "INT8" on any x86 CPU with SSE 4.2, where it is barely faster
    than float. Off Linux OpenCV knows the server's VNNI and Arm's dotprod, and Apple's own CPUs
    all have it. Nobody there tells of a laptop's AVX-VNNI: it is taken to lack it, which costs a
    few milliseconds and no accuracy; `precision="int8"` overrules.
    """
    if features := cpu_features():
        return bool(features & INT8_FEATURES)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return True
    return any(cv2.checkHardwareSupport(number) for number in OPENCV_INT8_FEATURES)
