"""The perceptual hash: what it must hold equal, what it must tell apart, what it may cost."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector.data.near_duplicates import (
    NEAR_BITS,
    group_pictures,
    hash_distances,
    hash_gray,
    hash_pictures,
    near_pairs,
    read_small_gray,
)


def test_distances_count_bits() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((5, 64)) < 0.5, rng.random((7, 64)) < 0.5
    expected = (a[:, None] != b[None]).sum(-1)
    np.testing.assert_array_equal(hash_distances(a, b), expected)


def test_copies_are_near_and_others_are_not(shared_data: Path) -> None:
    paths = sorted((shared_data / "photos").glob("*.jpg"))
    grays = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    hashes = np.stack([hash_gray(gray) for gray in grays])
    apart = hash_distances(hashes, hashes)[np.triu_indices(len(paths), 1)]
    assert len(apart) >= 45
    assert apart.min() > NEAR_BITS
    for gray, own in zip(grays, hashes, strict=True):
        poor = cv2.imdecode(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 0)
        half = cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        dark = cv2.convertScaleAbs(gray, alpha=0.7)
        for copy in (poor, half, dark, cv2.resize(gray, (300, 300))):
            assert (hash_gray(copy) != own).sum() <= NEAR_BITS


def test_mirrored_and_renamed_copies_group(tmp_path: Path, picture) -> None:
    one, other = picture("a.jpg", 640, 480, seed=1), picture("b.png", 640, 480, seed=2)
    mirrored = tmp_path / "xoài.png"
    image = cv2.imread(str(one))[:, ::-1]
    mirrored.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0")
    paths = [other, one, broken, mirrored]
    hashes = hash_pictures(paths)
    assert [h is None for h in hashes] == [False, False, True, False]
    assert near_pairs(hashes) == [(1, 3)]
    assert group_pictures(paths, hashes) == [[0], [1, 3], [2]]


def test_names_of_augmented_copies_group(tmp_path: Path) -> None:
    names = [f"mango_jpg.rf.{c * 32}.jpg" for c in "ab"] + [f"fig_jpg.rf.{'c' * 32}.jpg", "d.jpg"]
    paths = [tmp_path / name for name in names]
    assert group_pictures(paths, [None] * 4) == [[0, 1], [2], [3]]
    assert near_pairs([None] * 4) == []


def test_a_large_photograph_is_decoded_small(picture) -> None:
    path = picture("large.jpg", 6000, 4000)
    assert read_small_gray(path).shape == (500, 750)
    (from_file,) = hash_pictures([path])
    full = hash_gray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert (from_file[0] != full).sum() <= 4
