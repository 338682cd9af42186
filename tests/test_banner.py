"""The strip: seen at once, readable, inside any frame."""

from __future__ import annotations

import numpy as np
import pytest

from detector.banner import AMBER, draw_banner

TEXT = "connection lost, retry 3/10 in 2.1 s"


@pytest.mark.parametrize("shape", [(20, 30), (1, 1), (2000, 60), (30, 4000), (480, 640)])
def test_the_strip_spans_the_top_of_any_frame(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    draw_banner(image, TEXT)
    assert (image[0] == AMBER).all()


@pytest.mark.parametrize("shape", [(480, 640), (240, 320), (1080, 1920)])
def test_the_text_is_dark_centred_and_whole(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    draw_banner(image, TEXT)
    strip = int((image[:, 0] == AMBER).all(-1).sum())
    assert shape[0] // 30 < strip < shape[0] // 6
    assert (image[strip:] == 90).all()
    (columns,) = np.nonzero((image[:strip].sum(-1) < 100).any(0))
    left, right = columns[0], shape[1] - 1 - columns[-1]
    assert min(left, right) > 0
    assert abs(int(left) - int(right)) < shape[1] // 20
