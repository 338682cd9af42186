"""Downloads of one file from a real server on this machine: resumed, checked, or given up."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from file_server import CONTENT, NAPS, QUICK, Server, names_in, sha

from detector.data.download import Unreachable, download
from detector.errors import DetectorError


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


def test_an_md5_is_checked_too(server: Server, tmp_path: Path) -> None:
    server.files = {"/data.bin": CONTENT}
    md5 = hashlib.md5(CONTENT).hexdigest()
    download(f"{server.url}/data.bin", tmp_path / "a", digest=md5, network=QUICK)
    with pytest.raises(DetectorError, match=f"md5 is {md5}, expected 000"):
        download(f"{server.url}/data.bin", tmp_path / "b", digest="0" * 32, network=QUICK)
    assert names_in(tmp_path) == ["a"]
