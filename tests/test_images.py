"""Pictures in: every kind that works, every kind that is refused, and nothing in between."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from detector.errors import DetectorError
from detector.image_header import read_header
from detector.images import IMAGE_SUFFIXES, as_bgr, decode_image, read_image

PHOTOS = Path(__file__).parents[1].parent / "shared" / "data" / "photos"


def smooth_picture(height: int = 48, width: int = 64) -> np.ndarray:
    """Corners differ in colour, so a turn or a channel swap shows; smooth, so JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width]
    blue, green = 255 * x // max(1, width - 1), 255 * y // max(1, height - 1)
    return np.dstack([blue, green, 128 + 0 * x]).astype(np.uint8)


def encode(image: np.ndarray, suffix: str) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def encode_pil(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_declaring(width: int, height: int) -> bytes:
    """A well-formed PNG whose header declares a size and whose data hold a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


class TestReadImage:
    @pytest.mark.parametrize(
        ("suffix", "tolerance"),
        [(".png", 0), (".bmp", 0), (".tiff", 0), (".ppm", 0), (".jpg", 6), (".webp", 8)],
    )
    def test_formats_with_a_wrong_suffix_and_a_non_ascii_name(
        self, tmp_path: Path, suffix: str, tolerance: int
    ) -> None:
        path = tmp_path / "xoài ảnh.jpg"
        path.write_bytes(encode(smooth_picture(), suffix))
        image = read_image(path)
        assert image.dtype == np.uint8
        assert difference(image, smooth_picture()) <= tolerance

    @pytest.mark.parametrize("shape", [(1, 1), (50, 20_000), (20_000, 50)])
    def test_odd_sizes(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        path = tmp_path / "odd.png"
        path.write_bytes(encode(smooth_picture(*shape), ".png"))
        assert np.array_equal(read_image(str(path)), smooth_picture(*shape))

    def test_gray_alpha_and_sixteen_bits_become_bgr(self) -> None:
        image = smooth_picture()
        gray = image[:, :, 0]
        assert np.array_equal(decode_image(encode(gray, ".png"), "gray"), np.dstack([gray] * 3))
        see_through = np.dstack([image, np.zeros_like(gray)])
        assert np.array_equal(decode_image(encode(see_through, ".png"), "alpha"), image)
        deep = image.astype(np.uint16) * 257
        assert difference(decode_image(encode(deep, ".png"), "deep"), image) <= 1

    def test_cmyk_jpeg(self) -> None:
        cmyk = Image.fromarray(smooth_picture()[:, :, ::-1]).convert("CMYK")
        image = decode_image(encode_pil(cmyk, "JPEG", quality=95), "cmyk")
        assert difference(image, smooth_picture()) <= 12

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_exif_orientation_is_applied(self, orientation: int, kind: str) -> None:
        picture = Image.fromarray(smooth_picture()[:, :, ::-1].copy())
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode_pil(picture, kind, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        expected = np.asarray(upright)[:, :, ::-1]
        assert difference(decode_image(data, "turned"), expected) <= 6
        assert difference(as_bgr(Image.open(io.BytesIO(data))), expected) == 0

    @pytest.mark.skipif("GIF:" not in cv2.getBuildInformation(), reason="OpenCV before 4.11")
    def test_animated_gif_gives_its_first_frame(self) -> None:
        red, blue = (Image.new("RGB", (8, 6), c) for c in ((255, 0, 0), (0, 0, 255)))
        data = encode_pil(red, "GIF", save_all=True, append_images=[blue])
        assert decode_image(data, "gif")[3, 4].tolist() == [0, 0, 255]

    def test_photos(self) -> None:
        if not PHOTOS.is_dir():
            pytest.skip("../shared/data/photos is not here")
        paths = sorted(PHOTOS.glob("*.jpg"))
        assert len(paths) >= 10
        for path in paths:
            with Image.open(path) as photo:
                width, height = photo.size
            assert read_image(path).shape == (height, width, 3), path


class TestReadImageRefuses:
    def test_missing_file_suggests_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "holiday.jpg").touch()
        with pytest.raises(DetectorError, match=r"no such file; did you mean 'holiday\.jpg'"):
            read_image(tmp_path / "holliday.jpg")
        with pytest.raises(DetectorError, match="no folder"):
            read_image(tmp_path / "nowhere" / "a.jpg")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"these are words, not pixels\n" * 50, "not a picture .*these ar.*expected JPEG, PNG"),
            (b"\x00\x00\x00\x18ftypheic" + bytes(99), "HEIC cannot be decoded"),
            (png_declaring(30_000, 30_000), "30000x30000 pixels are more than"),
            (png_declaring(2**31 - 1, 2**31 - 1), "pixels are more than"),
            (png_declaring(640, 480), r"PNG \(640x480\) is damaged"),
            (b"\xff\xd8\xff", "JPEG is cut short"),
            (b"BM", "BMP is cut short"),
        ],
    )
    def test_bad_content(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "bad.jpg"
        path.write_bytes(content)
        with pytest.raises(DetectorError, match=message) as caught:
            read_image(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)

    def test_folder_and_impossible_names(self, tmp_path: Path) -> None:
        with pytest.raises(DetectorError, match="is a folder"):
            read_image(tmp_path)
        for name in ("a\0b.jpg", "a" * 5000):
            with pytest.raises(DetectorError, match=r"cannot be read|no such file"):
                read_image(tmp_path / name)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp", ".ppm"])
    @pytest.mark.parametrize("kept", [0.3, 0.6, 0.95, 0.999])
    def test_cut_files_are_an_error_and_print_nothing(
        self, suffix: str, kept: float, capfd: pytest.CaptureFixture[str]
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        data = encode(noise, suffix)
        with pytest.raises(DetectorError, match="cut short"):
            decode_image(data[: int(len(data) * kept)], "cut")
        assert capfd.readouterr().err == ""

    def test_cut_photo_with_a_thumbnail_inside(self) -> None:
        """The thumbnail's own end marker must not pass for the picture's."""
        picture = Image.fromarray(smooth_picture()[:, :, ::-1].copy())
        data = encode_pil(picture, "JPEG")
        thumbnail = b"Exif\0\0" + encode(smooth_picture(8, 8), ".jpg")
        app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
        whole = data[:2] + app1 + data[2:]
        assert decode_image(whole, "whole").shape == (48, 64, 3)
        assert decode_image(whole + b"trailing bytes of a phone", "tail").shape == (48, 64, 3)
        with pytest.raises(DetectorError, match="cut short"):
            decode_image(whole[:-20], "cut")


JPEG = encode(smooth_picture(), ".jpg")
PROGRESSIVE = encode_pil(Image.fromarray(smooth_picture()), "JPEG", progressive=True)
PNG = encode(smooth_picture(), ".png")
WEBP = encode(smooth_picture(), ".webp")
TIFF = encode(smooth_picture(), ".tiff")
BEGINNINGS = [b"", JPEG[:4], PNG[:8], b"GIF89a", b"BM", b"II*\0", b"P6 ", b"RIFF\x20\0\0\0WEBP"]


class TestAnyBytes:
    """Whatever the bytes, a picture or a DetectorError; never another exception."""

    @settings(deadline=None)  # a shared machine may pause at any example
    @given(st.sampled_from(BEGINNINGS), st.binary(max_size=400))
    def test_random_bytes(self, beginning: bytes, rest: bytes) -> None:
        self.check(beginning + rest)

    @settings(deadline=None)
    @given(st.sampled_from([JPEG, PROGRESSIVE, PNG]), st.data())
    def test_truncated_jpeg_and_png_are_always_refused(
        self, whole: bytes, data: st.DataObject
    ) -> None:
        length = data.draw(st.integers(0, len(whole) - 1))
        with pytest.raises(DetectorError):
            decode_image(whole[:length], "cut")

    @settings(deadline=None)
    @given(st.sampled_from([JPEG, PROGRESSIVE, PNG, WEBP, TIFF]), st.data())
    def test_flipped_bytes(self, whole: bytes, data: st.DataObject) -> None:
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            # The first 300 bytes hold the headers, where damage is worst.
            damaged[data.draw(st.integers(0, min(300, len(whole) - 1)))] = data.draw(
                st.integers(0, 255)
            )
        header = read_header(bytes(damaged))
        if header is None or header.width * header.height < 10**7:  # keep the test small
            self.check(bytes(damaged))

    def check(self, data: bytes) -> None:
        try:
            image = decode_image(data, "bytes")
        except DetectorError:
            return
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.dtype == np.uint8


class TestAsBgr:
    def test_bgr_is_handed_through_uncopied(self) -> None:
        image = smooth_picture()
        assert as_bgr(image) is image or np.shares_memory(as_bgr(image), image)

    def test_gray_and_bgra(self) -> None:
        image = smooth_picture()
        assert np.array_equal(as_bgr(image[:, :, 1]), np.dstack([image[:, :, 1]] * 3))
        assert np.array_equal(as_bgr(image[:, :, 1:2]), np.dstack([image[:, :, 1]] * 3))
        bgra = np.dstack([image, image[:, :, 0]])
        assert np.array_equal(as_bgr(bgra), image)
        assert as_bgr(bgra).flags.c_contiguous

    @settings(deadline=None)
    @given(st.integers(0, 255))
    def test_full_ranges_map_to_full_range(self, value: int) -> None:
        deep = np.full((2, 3), value * 257, np.uint16)
        unit = np.full((2, 3, 3), value / 255, np.float32)
        assert as_bgr(deep).tolist() == as_bgr(unit).tolist() == [[[value] * 3] * 3] * 2

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
    def test_pil_modes(self, mode: str) -> None:
        rgb = Image.fromarray(smooth_picture()[:, :, ::-1].copy())
        if mode == "I;16":
            picture = Image.fromarray(smooth_picture()[:, :, 0].astype(np.uint16) * 257)
            expected = np.dstack([smooth_picture()[:, :, 0]] * 3)
        else:
            picture = rgb.convert(mode)
            expected = np.asarray(picture.convert("RGB"))[:, :, ::-1]
        assert picture.mode == mode
        assert np.array_equal(as_bgr(picture), expected)

    def test_cut_file_opened_by_pil(self) -> None:
        with pytest.raises(DetectorError, match="PIL cannot decode"):
            as_bgr(Image.open(io.BytesIO(JPEG[:-60])))

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\).*move the channels last"),
            (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
            (np.zeros(7, np.uint8), r"shape \(7,\)"),
            (np.full((4, 4), 200.0), r"must hold 0\.\.1, got 200\.\.200"),
            (np.full((4, 4), np.nan), r"must hold 0\.\.1, got nan"),
            (np.zeros((4, 4), np.int64), "got an array of int64"),
            (None, "got NoneType"),
            ([[1, 2]], "got list"),
        ],
    )
    def test_refuses(self, image: object, message: str) -> None:
        with pytest.raises(DetectorError, match=message):
            as_bgr(image)


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert {".jpg", ".png"} <= IMAGE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)
