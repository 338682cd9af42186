"""The input size that a run chooses for itself."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.data.example import Dataset, Example
from detector.errors import DetectorError
from detector.model import checkpoint
from detector.model.checkpoint import ModelCard
from detector.training.options import Settings
from detector.training.size import enough, object_sides, sized


def data_of(folder: Path, *boxes, shape=(100, 200), ignore=False) -> Dataset:
    """One picture of 200 x 100 pixels a box."""
    examples = []
    for number, box in enumerate(boxes):
        path = folder / f"{number}.png"
        path.write_bytes(cv2.imencode(".png", np.zeros((*shape, 3), np.uint8))[1].tobytes())
        xyxy = np.array([box], np.float32).reshape(-1, 4)
        rows = len(xyxy)
        labels = np.zeros(rows, np.int64)
        # What the label file claims of the picture is a lie.
        examples.append(Example(path, xyxy, labels, np.full(rows, ignore), (10, 10), ""))
    return Dataset(tuple(examples), ("cell",))


@pytest.mark.parametrize(
    ("median_px", "native", "expected"),
    [(200, 300, 300), (75, 300, 300), (74, 300, 320), (46, 300, 512), (5, 300, 512)],
)
def test_objects_get_the_pixels_they_want(median_px, native, expected):
    assert enough(median_px, native) == expected


def test_weights_of_a_larger_input_keep_it():
    assert enough(100, 640) == 640
    assert enough(10, 640) == 640


def test_sides_are_shares_of_the_picture_as_it_is(tmp_path):
    data = data_of(tmp_path, (0, 0, 20, 10), (0, 0, 100, 50), (190, 90, 400, 300))
    np.testing.assert_allclose(object_sides(data), [0.1, 0.5, np.sqrt(0.05 * 0.1)], rtol=1e-6)


def test_what_counts_for_nothing_decides_nothing(tmp_path):
    assert not len(object_sides(data_of(tmp_path, (0, 0, 20, 10), ignore=True)))
    assert not len(object_sides(data_of(tmp_path, (20, 10, 0, 0), (300, 300, 310, 310))))
    assert sized(Settings(), data_of(tmp_path, ()))[0].size == 300


def test_a_damaged_picture_is_left_to_who_reads_it(tmp_path):
    data = data_of(tmp_path, (0, 0, 20, 10), (0, 0, 100, 50))
    data.examples[0].path.write_bytes(b"no picture")
    np.testing.assert_allclose(object_sides(data), [0.5], rtol=1e-6)


def test_it_says_why(tmp_path):
    small = data_of(tmp_path, (0, 0, 40, 20))
    chosen, why = sized(Settings(), small)
    assert chosen.size == 384
    assert "half of them below 60 px at --size 300), so --size 384 is taken, for 1.6 times" in why
    large = data_of(tmp_path, (0, 0, 100, 50))
    assert sized(Settings(), large) == (Settings(size=300), "")


def test_who_asks_gets(tmp_path):
    small = data_of(tmp_path, (0, 0, 20, 10))
    assert sized(Settings(size=96), small) == (Settings(size=96), "")


def test_weights_of_ones_own_come_with_their_size(tmp_path):
    card = ModelCard(("cell",), 0.25, "mobilenet_v1", input_size=400)
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, checkpoint.build(card), card)
    large = data_of(tmp_path, (0, 0, 100, 50))
    assert sized(Settings(weights=str(path)), large)[0].size == 400
    assert sized(Settings(weights="none"), large)[0].size == 300
    checkpoint.save(path, checkpoint.build(card), replace(card, input_size=800))
    assert sized(Settings(weights=str(path)), large)[0].size == 640  # the most that can be learned
    with pytest.raises(DetectorError, match="no such file"):
        sized(Settings(weights="nowhere.ckpt"), large)
