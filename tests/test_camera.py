"""What `--source` refuses, and how it says so. What it opens: test_video, test_stream(s)."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.camera import mask_secrets, open_source
from detector.errors import DetectorError, SourceLostError


class TestRefuses:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("words.avi", b"words " * 400, "no frame can be read, expected a video"),
            ("empty.mp4", b"", "is empty"),
            ("words.jpg", b"words " * 400, "not a picture"),
        ],
    )
    def test_files_without_frames(
        self,
        tmp_path: Path,
        name: str,
        content: bytes,
        message: str,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DetectorError, match=message):
            open_source(str(tmp_path / name))
        assert capfd.readouterr().err == ""

    def test_places_without_pictures(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(DetectorError, match="no pictures among its 1 files"):
            open_source(str(tmp_path))
        with pytest.raises(DetectorError, match="matches no file"):
            open_source(str(tmp_path / "*.jpg"))
        with pytest.raises(DetectorError, match=r"no such file; did you mean 'notes\.txt'"):
            open_source(str(tmp_path / "note.txt"))

    @pytest.mark.skipif(not Path("/dev").is_dir(), reason="devices are files only on Unix")
    def test_camera_that_is_not_there(self) -> None:
        message = r"camera 97: there is no /dev/video97; (video devices here|no camera)"
        with pytest.raises(DetectorError, match=message) as caught:
            open_source("97")
        assert not isinstance(caught.value, SourceLostError)

    @pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs /dev/null")
    def test_device_that_is_no_camera(self) -> None:
        with pytest.raises(DetectorError, match="gives no picture; it is used by another program"):
            open_source("/dev/null")

    def test_addresses(self) -> None:
        with pytest.raises(DetectorError, match="cannot read ftp:// addresses"):
            open_source("ftp://127.0.0.1/a.mp4")
        with pytest.raises(DetectorError, match="no picture came from there") as caught:
            open_source("rtsp://anna:secret@127.0.0.1:9/x?token=secret2")
        assert "secret" not in str(caught.value)
        assert str(caught.value).startswith("rtsp://***@127.0.0.1:9/x?token=***")

    def test_negative_retry(self) -> None:
        with pytest.raises(DetectorError, match="--retry -1"):
            open_source("sample", retry=-1)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@host/x", "rtsp://***@host/x"),
        ("rtsp://u:p@ss@host/x", "rtsp://***@host/x"),
        ("http://host/a@b", "http://host/a@b"),
        ("http://h/v?a=1&Password=p&b=2", "http://h/v?a=1&Password=***&b=2"),
    ],
)
def test_mask_secrets(url: str, shown: str) -> None:
    assert mask_secrets(url) == shown
