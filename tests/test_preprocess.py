"""The one resize that stands before every model."""

import cv2
import numpy as np
import pytest

from detector.preprocess import to_batch


def test_stretches_to_height_by_width():
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[:, 30:] = (10, 20, 30)
    batch = to_batch(frame, (100, 200))
    assert batch.shape == (1, 100, 200, 3)
    assert batch.dtype == np.uint8
    assert batch[0, 50, 10].tolist() == [0, 0, 0]
    assert batch[0, 50, 190].tolist() == [10, 20, 30], "channels stay as they are, BGR"


def test_is_bilinear_with_half_pixel_centres():
    frame = np.zeros((1, 2, 3), np.uint8)
    frame[0, 1] = 200
    # Centres of the four new pixels lie at -0.25, 0.25, 0.75 and 1.25 of the old ones.
    assert to_batch(frame, (1, 4))[0, 0, :, 0].tolist() == [0, 50, 150, 200]


def test_is_a_copy_even_at_the_same_size():
    frame = np.full((96, 96, 3), 7, np.uint8)
    batch = to_batch(frame, (96, 96))
    batch[:] = 0
    assert (frame == 7).all()


@pytest.mark.parametrize("shape", [(1, 1), (50, 20_000), (20_000, 50), (1, 40_000)])
def test_any_shape_of_frame(shape):
    frame = np.full((*shape, 3), 200, np.uint8)
    assert (to_batch(frame, (300, 300)) == 200).all()


def test_a_frame_that_is_a_view():
    whole = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    expected = cv2.resize(np.ascontiguousarray(whole[::-1, 10:]), (30, 20))
    assert np.array_equal(to_batch(whole[::-1, 10:], (20, 30))[0], expected)
