"""Damage inside a JPEG: only libjpeg knows of it, and says so on standard error, without a name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from detector.data.check.pictures import look_at
from detector.data.check.stderr import libjpeg_heard

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="OpenCV's own C library there")


def spoil(path: Path) -> None:
    """Zero a tenth of a file at its half: header and end stay whole."""
    data = bytearray(path.read_bytes())
    half, tenth = len(data) // 2, len(data) // 10
    data[half : half + tenth] = bytes(tenth)
    path.write_bytes(data)


def test_damaged_pictures_are_told_from_sound_ones(
    picture: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [picture(f"{i}.jpg", 320, 240) for i in range(40)] + [picture("40.png")]
    for i in (3, 31):
        spoil(paths[i])
    seen = list(look_at(paths))
    assert [p.path for p in seen] == paths
    assert [i for i, p in enumerate(seen) if p.kind == "damaged"] == [3, 31]
    assert all("Corrupt" not in p.message and p.bits is not None for p in seen)
    assert seen[3].message.startswith("libjpeg says: ")
    assert capfd.readouterr().err == ""


def test_other_lines_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(KeyError), libjpeg_heard() as lines:
        os.write(2, b"Corrupt JPEG data: bad Huffman code\nsomething else\n")
        raise KeyError
    assert lines == ["Corrupt JPEG data: bad Huffman code"]
    os.write(2, b"and on\n")
    assert capfd.readouterr().err == "something else\nand on\n"


def test_without_standard_error(
    monkeypatch: pytest.MonkeyPatch, picture: Callable[..., Path]
) -> None:
    def closed(_: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with libjpeg_heard() as lines:
        assert [p.kind for p in look_at([picture("1.jpg")])] == [""]
    assert lines == []
