"""Batches, and the order they come in."""

import pytest

from detector.data.load import load_splits
from detector.data.loading import Pictures
from detector.training.feed import Feed, Places
from detector.training.recipe import Clock


def test_processes_that_train_together_share_one_order():
    clock = Clock(steps=100)
    alone = Places(clock.progress, 8, start=3)
    parts = [iter(Places(clock.progress, 4, start=3, rank=r, world=2)) for r in (0, 1)]
    for whole, first, second in zip(alone, *parts, strict=False):
        assert whole == first + second
        if whole[0][0] > 60:
            break


def test_the_last_tenth_is_calm():
    calm = [
        places[0][1]
        for places, _ in zip(Places(Clock(steps=10).progress, 2), range(10), strict=False)
    ]
    assert calm == [False] * 9 + [True]


def test_a_sample_is_traced_to_its_picture(shapes):
    pictures = Pictures(load_splits(shapes)["train"].examples, 96)
    feed = Feed(pictures, 96, seed=5, crops=0.0, zoom=0.0)
    for index in range(30):
        (_, truth), number = feed[index, True]
        example = feed.example(index)
        assert number == index
        width = (truth.xyxy[0, 2] - truth.xyxy[0, 0]) * 96  # a flip keeps it
        assert float(width) == pytest.approx(
            float(example.xyxy[0, 2] - example.xyxy[0, 0]), abs=0.1
        )


def test_mosaics_until_the_run_is_calm(shapes):
    pictures = Pictures(load_splits(shapes)["train"].examples, 96)
    feed = Feed(pictures, 96, seed=5, crops=0.0, zoom=0.0, mosaic=1.0)
    wild = [len(feed[index, False][0][1].labels) for index in range(12)]
    assert max(wild) > 1
    for index in range(12):
        (_, truth), _ = feed[index, True]
        assert truth.labels.tolist() == feed.example(index).labels.tolist()
