"""colors: distances in Oklab and contrast of text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from detector.colors import PALETTE_SIZE, class_color, ink_on, oklab, text_shades


def lab_of(count: int) -> np.ndarray:
    bgr = np.array([class_color(label) for label in range(count)], np.float64)
    return oklab(bgr[:, ::-1] / 255)


@pytest.mark.parametrize(("count", "apart"), [(10, 0.2), (20, 0.13), (80, 0.07)])
def test_colours_are_apart(count: int, apart: float) -> None:
    lab = lab_of(count)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distance[~np.eye(count, dtype=bool)].min() > apart


def test_neighbouring_labels_are_far_apart() -> None:
    assert np.linalg.norm(np.diff(lab_of(20), axis=0), axis=1).min() > 0.2


def test_colours_stay_the_same_in_another_run() -> None:
    code = "from detector.colors import class_color; print([class_color(i) for i in range(96)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([class_color(label) for label in range(96)])


def test_colours_repeat_after_the_palette() -> None:
    assert class_color(PALETTE_SIZE) == class_color(0)
    assert class_color(10_000) == class_color(10_000 % PALETTE_SIZE)


def test_oklab_of_known_colours() -> None:
    """White is (1, 0, 0); red as in Ottosson's own table of sRGB primaries."""
    lab = oklab(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(lab[0], (1, 0, 0), atol=1e-3)
    np.testing.assert_allclose(lab[1], (0, 0, 0), atol=1e-6)
    np.testing.assert_allclose(lab[2], (0.628, 0.225, 0.126), atol=1e-3)


@pytest.mark.parametrize("label", range(PALETTE_SIZE))
def test_text_has_contrast_on_every_colour(label: int) -> None:
    """WCAG's ratio; the best of black and white is never under 4.5 where chosen by luminance."""
    color = class_color(label)
    light = np.array([0.2126, 0.7152, 0.0722])
    paper = float((np.array(color[::-1]) / 255) ** 2.2 @ light)
    ink = float(ink_on(color) == 255)
    ratio = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
    assert ratio >= 4.5


def test_shades_go_from_paper_to_ink() -> None:
    shades = text_shades((255, 178, 0))
    assert shades.shape == (256, 3)
    assert shades[0].tolist() == [255, 178, 0]
    assert shades[255].tolist() == [ink_on((255, 178, 0))] * 3
