"""Downloads from a real server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detector.data.card import Card, Download
from detector.data.download import Network, Unreachable, download
from detector.data.fetch import fetch
from detector.errors import DetectorError

CONTENT = bytes(range(256)) * 4000  # 1 MB
NAPS: list[float] = []
QUICK = Network(timeout_s=2.0, waits_s=(0.01, 0.01, 0.01), sleep=NAPS.append)


class Server:
    """Answers every path from `files`; `mood` is what goes wrong, once a request while it lasts."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/data.bin": CONTENT}
        self.mood: list[str] = []
        self.ranges: list[str | None] = []
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        mood = self.mood.pop(0) if self.mood else ""
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        request.close_connection = True
        if mood.isdigit():
            request.send_error(int(mood))
            return
        if mood.startswith("to "):
            request.send_response(302)
            request.send_header("Location", mood[3:])
            request.end_headers()
            return
        body = self.files.get(request.path)
        if body is None:
            request.send_error(404)
            return
        start = int(asked[6:-1]) if asked and mood != "no ranges" else 0
        if asked and start >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        part = body[start:]
        request.wfile.write(part[: len(part) // 2] if mood in ("drop", "stall") else part)
        request.wfile.flush()
        if mood == "stall":
            self.release.wait(20)


@pytest.fixture
def server() -> Iterator[Server]:
    NAPS.clear()
    running = Server()
    yield running
    running.close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_plain_download(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    place = tmp_path / "data.bin"
    download(
        f"{server.url}/data.bin",
        place,
        len(CONTENT),
        sha(CONTENT),
        lambda done, total: told.append((done, total)),
        QUICK,
    )
    assert place.read_bytes() == CONTENT
    assert names_in(tmp_path) == ["data.bin"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("mood", ["drop", "stall"])
def test_it_resumes_where_it_broke_off(server: Server, tmp_path: Path, mood: str) -> None:
    server.mood = [mood, mood]
    place = tmp_path / "data.bin"
    network = QUICK._replace(timeout_s=0.5)
    download(f"{server.url}/data.bin", place, None, sha(CONTENT), network=network)
    assert place.read_bytes() == CONTENT
    half, rest = len(CONTENT) // 2, len(CONTENT) // 4
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + rest}-"]
    assert len(NAPS) == 2


def test_it_resumes_in_another_run(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/data.bin", tmp_path / "data.bin", len(CONTENT), network=QUICK)
    assert server.ranges == ["bytes=1000-"]
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_part_that_is_whole_needs_no_byte_more(
    server: Server, tmp_path: Path, size: int | None
) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    download(f"{server.url}/data.bin", tmp_path / "data.bin", size, sha(CONTENT), network=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(server.ranges) == (size is None)


def test_a_part_that_is_too_long_starts_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/data.bin", tmp_path / "data.bin", network=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 500)
    server.mood = ["no ranges"]
    download(f"{server.url}/data.bin", tmp_path / "data.bin", network=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.mood = ["503", "500"]
    download(f"{server.url}/data.bin", tmp_path / "data.bin", network=QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(NAPS) == 2


def test_a_server_that_stays_busy_is_given_up(server: Server, tmp_path: Path) -> None:
    server.mood = ["503"] * 50
    with pytest.raises(Unreachable, match="503"):
        download(f"{server.url}/data.bin", tmp_path / "data.bin", network=QUICK)
    assert len(server.ranges) == 4


def test_404_is_told_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"/gone\.bin: the server says 404 .*url in the card"):
        download(f"{server.url}/gone.bin", tmp_path / "gone.bin", network=QUICK)
    assert len(server.ranges) == 1
    assert names_in(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=f"sha256 is {sha(CONTENT)}, expected 00"):
        download(f"{server.url}/data.bin", tmp_path / "a", None, "0" * 64, network=QUICK)
    assert names_in(tmp_path) == []


def test_a_wrong_size_is_told_before_loading(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"has 1,024,000 bytes, expected 77 \(size in the"):
        download(f"{server.url}/data.bin", tmp_path / "a", 77, network=QUICK)
    assert names_in(tmp_path) == []


def test_redirects_are_followed_but_not_to_files(server: Server, tmp_path: Path) -> None:
    server.mood = [f"to {server.url}/data.bin"]
    download(f"{server.url}/moved.bin", tmp_path / "a", network=QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT
    server.mood = ["to file:///etc/hostname"] * 9
    with pytest.raises(DetectorError):
        download(f"{server.url}/moved.bin", tmp_path / "b", network=QUICK)
    assert names_in(tmp_path) == ["a"]


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


def test_an_md5_is_checked_too(server: Server, tmp_path: Path) -> None:
    server.files = {"/data.bin": CONTENT}
    md5 = hashlib.md5(CONTENT).hexdigest()
    download(f"{server.url}/data.bin", tmp_path / "a", digest=md5, network=QUICK)
    with pytest.raises(DetectorError, match=f"md5 is {md5}, expected 000"):
        download(f"{server.url}/data.bin", tmp_path / "b", digest="0" * 32, network=QUICK)
    assert names_in(tmp_path) == ["a"]


def test_too_small_a_disk_is_told_up_front(
    server: Server, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 100))
    with pytest.raises(DetectorError, match=r"needs about .* GB, 0\.0 GB are free in .*root"):
        fetch(card, network=QUICK)
    assert server.ranges == []
