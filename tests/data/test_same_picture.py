"""Several files of one name: copies, one photograph in two formats, or different pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from detector.data.formats import read
from detector.data.same_picture import the_one

MakePicture, MakeText = Callable[..., Path], Callable[..., Path]


@pytest.fixture
def converted(picture: MakePicture) -> tuple[Path, Path]:
    """One photograph as JPEG and PNG in a folder."""
    jpeg = picture("images/p0.jpg", 320, 240)
    png = jpeg.with_suffix(".png")
    cv2.imwrite(str(png), cv2.imread(str(jpeg)))
    return jpeg, png


def test_one_photograph_in_two_formats_is_one(
    converted: tuple[Path, Path], picture: MakePicture, tmp_path: Path
) -> None:
    assert the_one(converted) == converted[0]
    assert the_one(converted[:1]) == converted[0]
    copy = tmp_path / "elsewhere.jpg"
    copy.write_bytes(converted[0].read_bytes())
    assert the_one([converted[0], copy]) == converted[0]
    converted[1].write_bytes(b"no picture")
    assert the_one(converted) == converted[0]


def test_different_pictures_are_none(converted: tuple[Path, Path], picture: MakePicture) -> None:
    other = picture("images/p0.webp", 320, 240, seed=5)
    assert the_one([*converted, other]) is None
    far = picture("elsewhere/p0.jpg", 320, 240, seed=6)
    assert the_one([converted[0], far]) is None
    assert the_one([converted[0], far.with_name("gone.jpg")]) is None


def test_a_label_of_two_different_pictures_labels_neither(
    tmp_path: Path, picture: MakePicture, text: MakeText
) -> None:
    for name in ("p0.jpg", "p0.png", "p1.jpg"):
        picture(f"set/images/{name}", 320, 240)
    for stem in ("p0", "p1"):
        text(f"set/labels/{stem}.txt", "0 0.5 0.5 0.4 0.4\n")
    dataset = read(tmp_path / "set", "yolo")
    assert [e.path.name for e in dataset.examples] == ["p1.jpg"]
    left_out = [p for p in dataset.problems if p.kind == "picture-left-out"]
    assert [p.where for p in left_out] == ["images/p0.jpg", "images/p0.png"]
    assert "may mean 2 different pictures" in left_out[0].message
