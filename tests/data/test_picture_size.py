"""The displayed size from the header agrees with the decoder, for every format and EXIF turn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.data.formats import read
from detector.data.picture_size import displayed_size, stored_size
from detector.data.upright import turn_boxes
from detector.images import read_image


def save(path: Path, kind: str, orientation: int, image: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, exif=exif)
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8, 99])
def test_size_is_what_the_decoder_returns(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / "a.jpg"  # the name does not matter
    save(path, kind, orientation, Image.new("RGB", (64, 48), "red"))
    height, width = read_image(path).shape[:2]
    assert displayed_size(path) == (width, height)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"picture|cut short"):
        displayed_size(path)
    with pytest.raises(ValueError, match="cannot be read"):
        displayed_size(tmp_path / "gone.jpg")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_with_the_picture(tmp_path: Path, text, voc_xml, orientation: int) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[8:16, 32:56] = 255
    path = tmp_path / "a.jpg"
    save(path, "JPEG", orientation, Image.fromarray(stored))
    assert stored_size(path) == (64, 48, orientation)
    ys, xs = np.nonzero(read_image(path)[..., 0] > 128)
    expected = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
    box = np.array([[32, 8, 56, 16]], np.float32)
    assert turn_boxes(box, (64, 48), orientation).tolist() == expected
    # A label file that gives the stored size is turned; one that gives the displayed size is not.
    text("a.xml", voc_xml(("cat", 32, 8, 56, 16), size=(64, 48)))
    turned = read(tmp_path)
    assert turned.examples[0].xyxy.tolist() == expected
    assert turned.examples[0].size_wh == (48, 64)
    assert [p.kind for p in turned.problems] == ["exif-turned"]
    text("a.xml", voc_xml(("cat", 32, 8, 56, 16), size=(48, 64)))
    assert read(tmp_path).examples[0].xyxy.tolist() == box.tolist()
    assert read(tmp_path).problems == ()
