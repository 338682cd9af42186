"""Archives that mean harm or are broken leave nothing behind; good ones end where they should."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.data.unpack import is_archive, safe_name, unpack
from detector.errors import DetectorError

CONTENT = bytes(range(256)) * 4000  # 1 MB


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def make_tar(*members: tuple[str, bytes], link: tuple[str, str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo(link[0])
            info.linkname, info.type = link[1], link[2]
            tar.addfile(info)
    return out.getvalue()


def make_zip(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members:
            zipped.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_unpack(tmp_path: Path, make: Callable[..., bytes]) -> None:
    archive = tmp_path / "a.archive"
    archive.write_bytes(make(("d/1.jpg", b"one"), ("./d/e/2.jpg", b"two")))
    assert unpack(archive, tmp_path / "out") == 2
    assert names_in(tmp_path / "out") == ["d", "d/1.jpg", "d/e", "d/e/2.jpg"]
    # A second archive adds to it; equal files may be there already.
    archive.write_bytes(make(("d/1.jpg", b"one"), ("d/3.jpg", b"three")))
    unpack(archive, tmp_path / "out")
    assert names_in(tmp_path / "out") == ["d", "d/1.jpg", "d/3.jpg", "d/e", "d/e/2.jpg"]
    archive.write_bytes(make(("d/0.jpg", b""), ("d/1.jpg", b"other")))
    with pytest.raises(DetectorError, match=r"1\.jpg: is in the way of a different one"):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/d/1.jpg").read_bytes() == b"one"
    assert not (tmp_path / "out/d/0.jpg").exists()
    assert not list(tmp_path.rglob(".unpack*"))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\..\\..\\x", "C:/x", "\\\\h\\x"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_no_path_leaves_the_folder(tmp_path: Path, name: str, make: Callable[..., bytes]) -> None:
    folder = tmp_path / "in" / "out"
    folder.parent.mkdir()
    archive = tmp_path / "a.archive"
    archive.write_bytes(make(("good.txt", b"1"), (name, b"harm")))
    with pytest.raises(DetectorError, match="outside its folder"):
        unpack(archive, folder)
    assert names_in(tmp_path) == ["a.archive", "in"]


@pytest.mark.parametrize(
    "link",
    [
        ("a", "/etc/passwd", tarfile.SYMTYPE),
        ("a", "../../x", tarfile.LNKTYPE),
        ("a", "", tarfile.FIFOTYPE),
        ("a", "", tarfile.CHRTYPE),
    ],
)
def test_no_links_nor_devices(tmp_path: Path, link: tuple[str, str, bytes]) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(make_tar(("good", b"1"), link=link))
    with pytest.raises(DetectorError, match="a link or device"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.tar.gz"]


def test_no_links_in_zips(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        info = zipfile.ZipInfo("a")
        info.external_attr = 0o120777 << 16
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(DetectorError, match="a link or device"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_no_bombs(tmp_path: Path, make: Callable[..., bytes]) -> None:
    archive = tmp_path / "a.archive"
    archive.write_bytes(make(("zeros", bytes(80_000_000))))
    with pytest.raises(DetectorError, match="looks like a bomb"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.archive"]


def test_a_zip_that_holds_more_than_it_declares(tmp_path: Path) -> None:
    data = bytearray(make_zip(("zeros", bytes(5_000_000))))
    lie = (1000).to_bytes(4, "little")
    data[22:26] = lie  # uncompressed size, local header
    central = data.find(b"PK\x01\x02")
    data[central + 24 : central + 28] = lie
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(DetectorError, match=r"damaged|more than it declares"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_cut_archive_leaves_nothing(tmp_path: Path, make: Callable[..., bytes]) -> None:
    whole = make(("a", CONTENT), ("b", CONTENT[::-1] + b"x" * 999))
    archive = tmp_path / "a.archive"
    archive.write_bytes(whole[:-40] + whole[-22:] if make is make_zip else whole[:-2000])
    with pytest.raises(DetectorError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.archive"]


def test_no_room_is_told_before_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(make_zip(("a", CONTENT)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1000))
    with pytest.raises(DetectorError, match=r"needs 1 MB unpacked, 0 MB are free"):
        unpack(archive, tmp_path / "out")


def test_safe_names() -> None:
    assert safe_name("./a//b/./c.jpg", Path("x")) == Path("a/b/c.jpg")


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_one_file_packed_alone(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / f"labels.csv.{suffix}"
    archive.write_bytes(pack(CONTENT))
    assert is_archive(archive)
    assert unpack(archive, tmp_path / "out") == 1
    assert (tmp_path / "out/labels.csv").read_bytes() == CONTENT
    archive.write_bytes(pack(CONTENT)[:-20])
    with pytest.raises(DetectorError, match="is damaged and cannot be unpacked"):
        unpack(archive, tmp_path / "cut")
    monkeypatch.setattr("detector.data.unpack.FREE_BYTES", 0)
    archive.write_bytes(pack(b"a" * len(CONTENT)))
    with pytest.raises(DetectorError, match="looks like a bomb, so nothing was unpacked"):
        unpack(archive, tmp_path / "bomb")
    assert names_in(tmp_path) == [archive.name, "out", "out/labels.csv"]
    archive.write_bytes(b"<html>")
    assert not is_archive(archive)
