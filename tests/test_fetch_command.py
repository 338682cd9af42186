"""`detector fetch` as a user meets it: which card, what it prints, what it says when it cannot."""

from __future__ import annotations

import http.server
import io
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
from verbs import exit_of

from detector.data.download import file_name
from detector.data.fetch import find_card, progress_line
from detector.errors import DetectorError


def test_fetch_says_what_it_brought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = tmp_path / "served"
    served.mkdir()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("kit/1.txt", "one")
    (served / "kit.zip").write_bytes(packed.getvalue())
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    card = tmp_path / "kit.yaml"
    url = f"http://127.0.0.1:{server.server_address[1]}/kit.zip"
    card.write_text(f"root: here\ndownload: {{url: '{url}'}}\n")
    code, out, err = exit_of(["fetch", str(card)], capsys)
    server.shutdown()
    server.server_close()
    assert code == 0, err
    assert f"1 files fetched, all of kit is in {tmp_path / 'here'}" in out
    assert "kit.zip" in err  # progress goes where it does not disturb a pipe
    assert (tmp_path / "here/kit/1.txt").read_text() == "one"
    assert exit_of(["fetch", str(card)], capsys)[1].startswith("0 files fetched")


def test_a_missing_card_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = exit_of(["fetch", "vok"], capsys)
    assert (code, out) == (2, "")
    assert err.startswith("error: vok: no such data card")
    assert err.count("\n") == 1


def test_names_come_from_urls_that_have_one() -> None:
    assert file_name("https://a.example/x/VOC%20a.tar?token=1") == "VOC a.tar"
    for url in ("https://a.example/", "ftp://a.example/x.tar", "file:///x.tar", "http://a/..%2Fx"):
        with pytest.raises(DetectorError, match="expected http"):
            file_name(url)
    assert file_name("https://a.example/files/26220632", "Mango.zip") == "Mango.zip"
    for called in ("../Mango.zip", "a/b.zip", ".hidden", ""):
        with pytest.raises(DetectorError, match="is no name of a file"):
            file_name("https://a.example/files/1", called)
    with pytest.raises(DetectorError, match="expected http"):
        file_name("file:///etc/passwd", "Mango.zip")


def test_find_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_card("voc").name.startswith("PASCAL")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/voc.yaml").write_text("root: x\ndownload: {url: 'http://a/b.zip'}\n")
    assert find_card("voc").root == Path("datasets/x")
    with pytest.raises(DetectorError, match=r"vok: no such data card; .*coco, mango, voc"):
        find_card("vok")
    (tmp_path / "own.yaml").write_text("root: x\n")
    with pytest.raises(DetectorError, match="says nothing to download; put pictures"):
        find_card("own.yaml")


@pytest.mark.parametrize("name", ["coco", "mango", "voc"])
def test_every_card_that_comes_along_says_what_to_load_and_where_to(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MANGO", raising=False)
    card = find_card(name)
    assert card.root == Path(f"~/datasets/{name}").expanduser()  # never beside the card
    assert all(
        file_name(entry.url, entry.file).endswith((".zip", ".tar")) for entry in card.download
    )


def test_progress_line() -> None:
    line = progress_line("a.tar", 412_000_000, 1_999_000_000, 10.0, 300_000_000)
    assert line == "a.tar  412 of 1,999 MB   21%  11.2 MB/s  2:22 left"
    assert progress_line("a", 5_000_000, None, 1.0, 0) == "a  5 MB  5.0 MB/s"
    assert progress_line("a", 0, 10, 0.0, 0) == "a  0 of 0 MB    0%"
