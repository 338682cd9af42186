"""A network in torch finds what its model file finds."""

from pathlib import Path

import numpy as np
import pytest

from detector.detections import Limits
from detector.errors import DetectorError
from detector.evaluation.torch_detector import TorchDetector
from detector.images import read_image
from detector.model import checkpoint
from detector.predictor import Detector

ROOT = Path(__file__).parents[2]
PHOTO = ROOT.parent / "shared" / "data" / "photos"
WEIGHTS = ROOT / "detector" / "weights" / "ssdlite_mobilenet_v2_coco.safetensors"


@pytest.mark.slow
@pytest.mark.skipif(not PHOTO.is_dir(), reason="../shared/data/photos is absent")
@pytest.mark.parametrize(("size", "vote"), [(None, 0.05), (384, 0.5)])
def test_it_finds_what_the_model_file_finds(size, vote):
    frame = read_image(sorted(PHOTO.glob("*.jpg"))[0])
    ours = TorchDetector(*checkpoint.load(WEIGHTS), size, Limits(0.2, 0.6, 100, vote))
    file = Detector(precision="float", size=size, score=0.2, vote=vote)
    assert ours.size_hw == file.size_hw
    found, timing = ours.detect_timed(frame)
    expected = file(frame)
    assert len(found) > 0
    assert found.names == expected.names
    assert found.scores == pytest.approx(expected.scores, abs=2e-3)
    assert np.abs(found.xyxy - expected.xyxy).max() < 2
    assert timing.infer_ms > 0


def test_a_size_beyond_sense():
    with pytest.raises(DetectorError, match="size is 7; expected a whole number from 96"):
        TorchDetector(*checkpoint.load(WEIGHTS), 7)
