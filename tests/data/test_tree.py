"""What counts as a file of a data set, and which picture a name means."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.data.formats import read
from detector.data.tree import PictureIndex, scan

MakePicture, MakeText = Callable[..., Path], Callable[..., Path]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no such files on Windows")


@POSIX
def test_pipes_are_no_files_and_links_to_files_are(tmp_path: Path, picture: MakePicture) -> None:
    real = picture("a/1.jpg")
    os.mkfifo(tmp_path / "a" / "2.jpg")
    os.mkfifo(tmp_path / "a" / "2.xml")
    (tmp_path / "a" / "3.jpg").symlink_to(real)
    (tmp_path / "a" / "4.jpg").symlink_to("gone.jpg")
    (tmp_path / "a" / "5.jpg").symlink_to("5.jpg")
    (tmp_path / "a" / "6.jpg").symlink_to("2.jpg")
    names = [path.name for path in scan(tmp_path).files]
    assert names == ["1.jpg", "3.jpg", "4.jpg", "5.jpg"]


@POSIX
def test_linked_folders_are_walked_once_and_hidden_ones_never(
    tmp_path: Path, text: MakeText
) -> None:
    for name in ("b/1.txt", "a/2.txt", ".git/3.txt", "__MACOSX/4.txt", "b/.5.txt", "b/c/6.txt"):
        text(name, "")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "a")
    shown = [path.relative_to(tmp_path).as_posix() for path in scan(tmp_path).files]
    assert shown == ["a/2.txt", "b/1.txt", "b/c/6.txt"]


def test_a_backslash_parts_folders_unless_a_file_is_called_so() -> None:
    plain, odd = Path("a/slash.jpg"), Path("b/back\\slash.jpg")
    assert PictureIndex([plain]).by_name("back\\slash.jpg") == [plain]
    if sys.platform != "win32":
        both = PictureIndex([plain, odd])
        for name in ("back\\slash.jpg", "train/back\\slash.jpg", "C:/b/back\\SLASH.jpg"):
            assert both.by_name(name) == [odd]
        assert both.by_name("other\\slash.jpg") == [plain]


def test_heic_counts_only_where_no_other_picture_does() -> None:
    jpeg, phone, other = Path("a/IMG_1.jpg"), Path("a/IMG_1.HEIC"), Path("a/IMG_2.heic")
    index = PictureIndex([phone, jpeg, other])
    assert index.pictures == [jpeg]
    assert index.by_stem("IMG_1") == index.by_name("IMG_1.HEIC") == [jpeg]
    assert index.by_stem("IMG_2") == [other]
    assert PictureIndex([other]).pictures == [other]


def test_labels_of_heic_say_to_convert_it(
    tmp_path: Path, picture: MakePicture, text: MakeText, voc_xml: Callable[..., str]
) -> None:
    picture("p1.jpg")
    text("p2.HEIC", b"\0\0\0\x18ftypheic" + bytes(40))
    for stem in ("p1", "p2"):
        text(f"{stem}.txt", "0 0.5 0.5 0.4 0.4\n")
    message = next(p.message for p in read(tmp_path).problems if p.where == "p2.txt")
    assert message == "p2.HEIC cannot be decoded here; save it as JPEG; left out"
    (tmp_path / "p1.jpg").unlink()
    message = next(p.message for p in read(tmp_path).problems if p.where == "p2.HEIC")
    assert message == "HEIC cannot be decoded here; save it as JPEG or PNG"


def test_jfif_is_a_jpeg(tmp_path: Path, picture: MakePicture, text: MakeText) -> None:
    picture("p1.jpg").rename(tmp_path / "p1.jfif")
    text("p1.txt", "0 0.5 0.5 0.4 0.4\n")
    (example,) = read(tmp_path).examples
    assert (example.path.name, len(example.labels)) == ("p1.jfif", 1)
