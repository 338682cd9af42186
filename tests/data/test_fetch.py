"""What a card says to download, from a real server on this machine, put where the card wants it."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import socket
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import NAPS, QUICK, Server, names_in, sha

from detector.data.card import Card, Download
from detector.data.fetch import fetch
from detector.errors import DetectorError


def make_tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_zip(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def card(server: Server, tmp_path: Path) -> Card:
    files = {
        "/one.tar.gz": make_tar("kit/a/1.jpg", b"one"),
        "/two.zip": make_zip("kit/a/2.jpg", b"two"),
        "/names.txt": b"mango\n",
    }
    server.files = files
    downloads = [
        Download(server.url + path, sha(data), len(data), "lists" if "names" in path else ".")
        for path, data in files.items()
    ]
    return Card(tmp_path / "card.yaml", tmp_path / "root", "toy", download=tuple(downloads))


PLACED = [".fetched.json", "kit", "kit/a", "kit/a/1.jpg", "kit/a/2.jpg", "lists", "lists/names.txt"]


def test_fetch_brings_everything_once(server: Server, card: Card) -> None:
    server.mood = ["drop", "", "503"]
    assert fetch(card, network=QUICK) == 3
    assert names_in(card.root) == PLACED
    asked = len(server.ranges)
    assert fetch(card, network=QUICK) == 0
    assert len(server.ranges) == asked


def test_fetch_goes_on_where_it_stopped(server: Server, card: Card) -> None:
    two = server.files.pop("/two.zip")
    with pytest.raises(DetectorError, match="404"):
        fetch(card, network=QUICK)
    assert names_in(card.root) == PLACED[:4]
    server.files["/two.zip"] = two
    assert fetch(card, network=QUICK) == 2
    assert names_in(card.root) == PLACED


def test_fetch_keeps_archives_when_asked(card: Card) -> None:
    fetch(card, keep=True, network=QUICK)
    assert {"one.tar.gz", "two.zip"} < set(names_in(card.root))


def test_offline_says_what_to_put_where(server: Server, card: Card, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    away = tuple(
        Download(d.url.replace(server.url, nobody), d.digest, d.size, d.to) for d in card.download
    )
    offline = Card(card.path, card.root, card.name, download=away)
    expected = re.escape(f"put into {card.root}, as they are, then run it again: {nobody}/one.tar")
    with pytest.raises(DetectorError, match=expected):
        fetch(offline, network=QUICK)
    assert len(NAPS) == 2
    for path, data in server.files.items():  # done by hand
        (card.root / path[1:]).write_bytes(data)
    assert fetch(offline, network=QUICK) == 3
    assert names_in(card.root) == PLACED


def test_an_archive_whose_url_has_no_name_is_called_as_the_card_says(
    server: Server, tmp_path: Path
) -> None:
    """As university repositories have them: /ndownloader/files/26220632."""
    server.files = {"/files/7": make_zip("a/1.jpg", b"one"), "/more/7": make_zip("2.jpg", b"two")}
    one, two = (Download(server.url + path) for path in server.files)
    alike = Card(tmp_path / "card.yaml", tmp_path / "root", "toy", download=(one, two))
    with pytest.raises(DetectorError, match="two files are called 7; rename one with file: NAME"):
        fetch(alike, network=QUICK)
    named = replace(alike, download=(replace(one, file="one.zip"), two))
    assert fetch(named, keep=True, network=QUICK) == 2
    expected = [".fetched.json", "2.jpg", "7", "a", "a/1.jpg", "one.zip"]
    assert names_in(named.root) == expected
    gone = replace(one, url="http://127.0.0.1:9/files/7", file="by-hand.zip")
    with pytest.raises(DetectorError, match=r"files/7 \(as by-hand\.zip\)"):
        fetch(replace(named, download=(gone,)), network=QUICK)
    (named.root / "by-hand.zip").write_bytes(server.files["/files/7"])
    assert fetch(replace(named, download=(gone,)), network=QUICK) == 1


@pytest.mark.parametrize("answer", [b"<!DOCTYPE html><p>Are you a person?</p>", b""])
def test_a_page_instead_of_the_archive_is_not_the_data(
    server: Server, tmp_path: Path, answer: bytes
) -> None:
    """What repositories behind a firewall send to programs; with 200 all the same."""
    server.files = {"/kit.zip": answer}
    entry = Download(server.url + "/kit.zip")
    card = Card(tmp_path / "card.yaml", tmp_path / "root", "toy", download=(entry,))
    for _ in range(2):
        with pytest.raises(DetectorError, match=r"(is no zip file|sends nothing).*with a browser"):
            fetch(card, network=QUICK)
        assert names_in(card.root) == []
    server.files = {"/kit.zip": make_zip("1.jpg", b"one")}
    assert fetch(card, network=QUICK) == 1


def test_a_file_packed_alone_is_unpacked(server: Server, tmp_path: Path) -> None:
    server.files = {"/labels.csv.gz": gzip.compress(b"filename,class\n")}
    entry = Download(server.url + "/labels.csv.gz", to="lists")
    card = Card(tmp_path / "card.yaml", tmp_path / "root", "toy", download=(entry,))
    assert fetch(card, network=QUICK) == 1
    assert names_in(card.root) == [".fetched.json", "lists", "lists/labels.csv"]
    assert (card.root / "lists/labels.csv").read_bytes() == b"filename,class\n"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_empty_archive_is_not_the_data(server: Server, tmp_path: Path, kind: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") if kind == "zip" else tarfile.open(fileobj=out, mode="w"):
        pass
    server.files = {f"/kit.{kind}": out.getvalue()}
    entry = Download(f"{server.url}/kit.{kind}")
    card = Card(tmp_path / "card.yaml", tmp_path / "root", "toy", download=(entry,))
    for _ in range(2):
        with pytest.raises(DetectorError, match=rf"kit\.{kind} is empty; deleted.*with a browser"):
            fetch(card, network=QUICK)
        assert names_in(card.root) == []


def test_an_answer_without_a_file_is_not_the_data(server: Server, card: Card) -> None:
    server.mood = ["202"]
    with pytest.raises(DetectorError, match=r"answers 202 instead of the file.*with a browser"):
        fetch(card, network=QUICK)
    assert names_in(card.root) == []
    assert fetch(card, network=QUICK) == 3


def test_other_files_are_not_mixed_with_the_data(server: Server, card: Card) -> None:
    card.root.mkdir()
    (card.root / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DetectorError, match=r"root: holds other files; .* change root in .*yaml"):
        fetch(card, network=QUICK)
    assert server.ranges == []
    assert names_in(card.root) == ["mine.jpg"]


def test_too_small_a_disk_is_told_up_front(
    server: Server, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 100))
    with pytest.raises(DetectorError, match=r"needs about .* GB, 0\.0 GB are free in .*root"):
        fetch(card, network=QUICK)
    assert server.ranges == []
