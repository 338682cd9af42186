"""The comparison of float and int8 files runs and prints whole rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from script_rows import output_of, rows_of

from detector.predictor import COCO_INT8

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "photos"


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")
def test_a_row_for_each_network() -> None:
    networks = ["mobilenet_v1 0.25", "mobilenet_v3_small 0.5"]
    options = ["--size", "96", "--rounds", "3", "--networks", *networks]
    _, *rows = rows_of("compare_int8.py", PHOTOS, *options)
    assert [f"{row[0]} {row[1]}" for row in rows] == networks
    for row in rows:
        floats, int8, faster, layers, change = map(float, row[2:])
        assert 0.2 < int8 < floats < 1
        assert faster > 0
        assert layers > 50
        assert 0 < change < 1


COCO = ROOT.parent / "shared" / "data" / "coco-val-128" / "instances.json"


@pytest.mark.slow
@pytest.mark.skipif(not COCO.is_file(), reason="../shared/data/coco-val-128 is absent")
def test_a_file_loses_nothing_to_itself() -> None:
    once, often = output_of("int8_loss.py", COCO_INT8, COCO_INT8, COCO).splitlines()
    assert ", 1 view of each: AP " in once
    assert ", 8 views of each: AP " in often
    assert once.endswith(", 0.00 lost")
    assert often.endswith(", 0.00 lost")
