"""Data cards: every key, every mistake, and the cards the project ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.data.card import Download, read_card
from detector.errors import DetectorError

CARDS = Path(__file__).parents[2] / "datasets"
CARD = """\
name: Xoài
root: ../$DETECTOR_TEST_PLACE/mango
format: yolo
images: ~/pictures
first_pixel: 1
splits: {train: [a.txt, b.txt], test: c.txt}
val: 0.25
seed: 7
classes:
  names: [mango, leaf]
  rename: {0: mango}
  merge: {leaf: [leaf1, leaf2]}
  drop: [stone]
download:
  - {url: https://example.org/x.zip, sha256: SHA, size: 12, to: sub}
""".replace("SHA", "0123456789abcdef" * 4)


def test_every_key(text, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DETECTOR_TEST_PLACE", "disk")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    card = read_card(text("cards/x.yaml", CARD))
    assert card.root == tmp_path / "disk" / "mango"
    assert card.images == tmp_path / "home" / "pictures"
    assert (card.name, card.format, card.first_pixel) == ("Xoài", "yolo", 1)
    assert card.splits == {"train": ("a.txt", "b.txt"), "test": ("c.txt",)}
    assert (card.val, card.seed) == (0.25, 7)
    assert card.classes.names == ("mango", "leaf")
    assert card.classes.rename == {"0": "mango", "leaf1": "leaf", "leaf2": "leaf"}
    assert card.classes.drop == ("stone",)
    sha256 = "0123456789abcdef" * 4
    assert card.download == (Download("https://example.org/x.zip", sha256, 12, "sub"),)


def test_a_variable_may_have_a_fallback(text, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text("x.yaml", "root: ${DETECTOR_TEST_PLACE:-beside}/a")
    monkeypatch.delenv("DETECTOR_TEST_PLACE", raising=False)
    assert read_card(path).root == path.parent / "beside" / "a"
    monkeypatch.setenv("DETECTOR_TEST_PLACE", "there")
    assert read_card(path).root == path.parent / "there" / "a"


def test_the_least_card(text, tmp_path: Path) -> None:
    card = read_card(text("x.yaml", "root: ."))
    assert (card.root, card.name, card.format, card.val) == (tmp_path, "x", "auto", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("root: .\nsplit: {}", "unknown key 'split'; did you mean 'splits'"),
        ("root: .\nzzz: 1", "unknown key 'zzz'; known keys: name, root"),
        ("root: .\nclasses: {renam: {}}", "classes: unknown key 'renam'; did you mean 'rename'"),
        ("root: .\nsplits: {trian: a}", "splits: unknown key 'trian'; did you mean 'train'"),
        ("root: .\ndownload: {url: x, sha: y}", "unknown key 'sha'; did you mean 'sha256'"),
        ("format: voc", "no 'root'"),
        ("root: [1]", r"root is '\[1\]', expected text"),
        ("root: $NO_SUCH_VARIABLE_/x", "environment variable NO_SUCH_VARIABLE_, which is not set"),
        ("root: .\nformat: vocc", "format is 'vocc', expected one of auto, voc, coco, yolo, csv"),
        ("root: .\nval: 1.5", "val is '1.5', expected a share"),
        ("root: .\nval: yes", "val is 'yes', expected a share"),
        ("root: .\nval: 0.2\nval: 0.3", "'val' is given twice"),
        ("root: .\nval: 0.2\nsplits: {train: a, val: b}", "val is given twice"),
        ("root: .\nseed: -1", "seed is '-1', expected a whole number"),
        ("root: .\nfirst_pixel: 2", "first_pixel is '2', expected 0 or 1"),
        ("root: .\nclasses: [a, b, a]", "names has 'a' twice"),
        ("root: .\nclasses: a", "classes is 'a', expected a list"),
        ("root: .\ndownload: {url: x, sha256: 12}", "sha256 '12' is not 64 hex digits"),
        ("root: .\ndownload: {url: x, md5: 12}", "md5 '12' is not 32 hex digits"),
        ("root: .\ndownload: {url: 'https://x/a/', sha256: ''}", "sha256 '' is not 64"),
        ("root: .\ndownload: {url: 'https://x/a/'}", "name at its end, or file: NAME"),
        ("root: .\ndownload: {url: 'https://x/a', file: b/c}", "'b/c' is no name of a file"),
        ("root: .\ndownload: {url: x, size: -1}", "size is '-1', expected bytes"),
        ("root: .\ndownload: {url: x, to: ../up}", "to '../up' leaves the root"),
        ("root: .\ndownload: [x]", "'x' has no 'url'"),
        ("- root", "holds no keys"),
        ("root: [", "is not YAML"),
        ("", "holds no keys"),
    ],
)
def test_mistakes_name_the_card_and_the_key(text, content: str, message: str) -> None:
    path = text("bad.yaml", content)
    with pytest.raises(DetectorError, match=message) as caught:
        read_card(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_words_that_yaml_takes_for_truth_are_names(text) -> None:
    card = read_card(text("card.yaml", "root: .\nclasses: [yes, no, on, off]\n"))
    assert card.classes.names == ("yes", "no", "on", "off")


def test_data_yaml_of_yolo_is_a_card_too(text, tmp_path: Path) -> None:
    card = read_card(text("fruit/data.yaml", "path: C:\\me\ntrain: a\nval: b\nnames: [a]\n"))
    assert (card.root, card.name, card.format) == (tmp_path / "fruit", "fruit", "yolo")
    assert (card.val, card.splits) == (None, {})


def test_backslashes_are_slashes(text, tmp_path: Path) -> None:
    content = "root: .\\mango\\all\nimages: ..\\b\nsplits: {train: a\\b.txt}\n"
    card = read_card(text("cards/x.yaml", content))
    assert card.root == tmp_path / "cards" / "mango" / "all"
    assert card.images == tmp_path / "b"
    assert card.splits == {"train": ("a/b.txt",)}


def test_the_cards_we_ship_are_sound() -> None:
    cards = {path.stem: read_card(path) for path in sorted(CARDS.glob("*.yaml"))}
    assert set(cards) >= {"voc", "coco", "mango"}
    for name in ("voc", "coco"):
        assert cards[name].download
        assert all(entry.digest and entry.size for entry in cards[name].download)
        assert set(cards[name].splits) == {"train", "val"}
    assert len(cards["voc"].classes.names) == 20
