"""Which known class a new one looks like."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from detector.data.example import Example
from detector.data.loading import Pictures
from detector.model.checkpoint import ModelCard, build, load
from detector.sample import sample_path
from detector.training.kin import closest_classes
from detector.training.start import COCO


def example(path, boxes, labels):
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    ignore = np.zeros(len(labels), bool)
    return Example(path, xyxy, np.array(labels, np.int64), ignore, None, str(path))


@pytest.fixture(scope="module")
def cat(tmp_path_factory) -> Path:
    """The first frame of the sample clip in which the embedded model is sure of a cat."""
    from detector.predictor import Detector

    path = tmp_path_factory.mktemp("cat") / "cat.png"
    detector, video = Detector(classes=["cat"], score=0.8), cv2.VideoCapture(str(sample_path()))
    while True:
        more, frame = video.read()
        assert more, "no cat in the sample clip"
        if len(found := detector(frame)):
            path.write_bytes(cv2.imencode(".png", frame)[1].tobytes())
            return example(path, found.xyxy[0], [1])


@pytest.mark.slow
def test_a_new_name_finds_the_class_it_is(cat):
    source, card = load(COCO)
    names = ("person", "pussycat", "unicorn")
    kin = closest_classes(source, card.class_names, names, Pictures([cat], 300), 300)
    assert kin == {"pussycat": "cat"}  # a person is known, and of unicorns there is no box


def test_pictures_without_boxes_tell_nothing(tmp_path):
    path = tmp_path / "grey.png"
    path.write_bytes(cv2.imencode(".png", np.full((96, 96, 3), 128, np.uint8))[1].tobytes())
    torch.manual_seed(0)
    source = build(ModelCard(("a", "b"), 0.25))
    for head in source.class_heads:
        nn.init.normal_(head.predict.bias)
    assert (
        closest_classes(source, ("a", "b"), ("c",), Pictures([example(path, [], [])], 96), 96) == {}
    )
