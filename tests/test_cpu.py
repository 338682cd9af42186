"""CPU features, from the text that Linux gives of several machines."""

import os

import cv2
import pytest

from detector import cpu

XEON = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu sse4_2 avx2 avx512f avx512_vnni\n"
CORE_ULTRA = "processor\t: 0\nflags\t\t: fpu avx2 fma avx_vnni\nbugs\t\t: spectre_v1\n"
SAPPHIRE = "processor\t: 0\nflags\t\t: avx2 amx_tile amx_int8\n"
HASWELL = "processor\t: 0\nmodel name\t: no avx_vnni here\nflags\t\t: fpu sse4_2 avx2 fma\n"
PI_4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
PI_5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimdhp asimdrdm lrcpc dcpop asimddp\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XEON, True),
        (CORE_ULTRA, True),
        (SAPPHIRE, True),
        (HASWELL, False),
        (PI_4, False),
        (PI_5, True),
    ],
)
def test_int8_where_linux_lists_the_instructions(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    features = cpu.cpu_features(tmp_path / "cpuinfo")
    assert features
    monkeypatch.setattr(cpu, "cpu_features", lambda: features)
    assert cpu.has_int8_dot() is expected


@pytest.mark.parametrize(
    ("platform", "machine", "opencv_knows", "expected"),
    [
        ("darwin", "arm64", None, True),
        ("darwin", "x86_64", None, False),
        ("win32", "AMD64", None, False),
        ("win32", "AMD64", 23, True),
    ],
)
def test_elsewhere(monkeypatch, tmp_path, platform, machine, opencv_knows, expected):
    assert cpu.cpu_features(tmp_path / "missing") == frozenset()
    monkeypatch.setattr(cpu, "cpu_features", frozenset)
    monkeypatch.setattr(cpu.sys, "platform", platform)
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu.cv2, "checkHardwareSupport", lambda number: number == opencv_knows)
    assert cpu.has_int8_dot() is expected


def test_opencv_and_linux_agree_on_this_machine():
    features = cpu.cpu_features()
    if not features:
        pytest.skip("this system has no /proc/cpuinfo to compare with")
    opencv_says = [cv2.checkHardwareSupport(number) for number in cpu.OPENCV_INT8_FEATURES]
    assert opencv_says[0] == ("avx512_vnni" in features)


def test_cores_respect_the_affinity(monkeypatch):
    assert 1 <= cpu.usable_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7})
        assert cpu.usable_cores() == 3
