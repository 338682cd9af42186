"""The count from a file's shapes is the count of the network it was exported from."""

from pathlib import Path

import pytest

from detector.benchmark.multiply_adds import count_multiply_adds
from detector.model.checkpoint import load
from detector.model.cost import totals
from detector.model.cost_table import count
from detector.predictor import COCO_FLOAT, COCO_INT8, WEIGHTS


@pytest.mark.parametrize("side", [300, 160])
@pytest.mark.parametrize("path", [COCO_FLOAT, COCO_INT8], ids=["float", "int8"])
def test_as_analyze_counts(path: Path, side: int) -> None:
    model, card = load(WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors")
    network = count(model, card.backbone, card.alpha, card.head, side)
    assert count_multiply_adds(path, (side, side)) == totals(network.rows)[1]
