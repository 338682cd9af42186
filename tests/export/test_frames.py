"""Pictures as a network takes them: read once while they fit, the same when read again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.export import frames
from detector.export.frames import Frames
from detector.images import read_image
from detector.preprocess import to_batch


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Four pictures of different sizes, the third no picture."""
    rng = np.random.default_rng(0)
    made = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(made):
        cv2.imwrite(str(path), rng.integers(0, 256, (20 + i, 40, 3), dtype=np.uint8))
    made[2].write_bytes(b"no picture")
    return made


@pytest.mark.parametrize(("budget", "again"), [(1 << 20, 0), (3 * 16 * 16, 2), (0, 3)])
def test_what_fits_is_read_once(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, budget: int, again: int
) -> None:
    shown = Frames(paths, 16, budget)
    assert (len(shown), shown.readable, len(shown.failed)) == (3, [0, 1, 3], 1)
    assert shown.sizes_wh == [(40, 20), (40, 21), (40, 23)]
    read: list[Path] = []

    def reading(path: Path) -> np.ndarray:
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(frames, "read_image", reading)
    for given, index in zip(shown, shown.readable, strict=True):
        np.testing.assert_array_equal(given, to_batch(read_image(paths[index]), (16, 16)))
    assert len(read) == again


def test_it_is_a_sequence(paths: list[Path]) -> None:
    shown = Frames(paths, 16)
    np.testing.assert_array_equal(shown[-1], shown[2])
    assert len(shown[1:]) == 2
    with pytest.raises(IndexError):
        shown[3]
    assert len(Frames([], 16)) == 0
