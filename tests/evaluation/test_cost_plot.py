"""The plot of costs: real pictures, the same each time, with a bar for each block."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from detector.evaluation.cost_plot import FIXED, draw
from detector.model.cost_table import blocks, count
from detector.model.zoo import make_backbone

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        return count(
            make_backbone("mobilenet_v3_small", 0.5), "mobilenet_v3_small", 0.5, "none", 96
        )


def test_svg_names_every_block(network) -> None:
    svg = draw(network, "svg")
    assert svg == draw(network, "svg")
    text = svg.decode()
    assert "mobilenet_v3_small, width 0.5, 96 px" in text
    for block in blocks(network.rows):
        assert f">{block.name}{FIXED}" in text
    assert "squeeze" not in text  # kinds are named, not layers
    assert ">other<" in text


@pytest.mark.slow
def test_png_is_a_picture(network) -> None:
    picture = cv2.imdecode(np.frombuffer(draw(network, "png"), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == 1650
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
