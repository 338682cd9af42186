"""docs/mobilenets/: the script draws the very files, and they are readable on any page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from drawing import drawing_script

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "mobilenets"
PAGE = (DOCS / "mobilenets.md").read_text(encoding="utf-8")
NAMES = re.findall(r"\(mobilenets/([a-z]+)\.svg\)", PAGE)
COUNTED_LONG = {"ratio", "multipliers"}  # many networks


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with drawing_script() as module:
        yield module


def test_every_picture_is_shown_and_drawn(script) -> None:
    assert set(NAMES) == set(script.PICTURES) == {path.stem for path in FOLDER.iterdir()}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in COUNTED_LONG else n for n in NAMES]
)
def test_the_script_draws_the_pictures_as_they_are(script, name: str) -> None:
    drawn = script.PICTURES[name]().svg()
    assert drawn == (FOLDER / f"{name}.svg").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_and_readable_on_any_page(name: str) -> None:
    content = (FOLDER / f"{name}.svg").read_bytes()
    assert len(content) < 30_000
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(content)
    sheet, ink = root.find(f"{svg}rect"), root.find(f"{svg}style")
    assert root.findtext(f"{svg}title")
    assert sheet is not None
    assert "f-paper" in sheet.attrib["class"]
    assert float(sheet.attrib["width"]) == float(root.attrib["width"]) - 1
    assert ink is not None
    assert "prefers-color-scheme:dark" in (ink.text or "")


def test_the_script_writes_files(script, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(script.PICTURES, "convolution", script.PICTURES["convolution"])
    for name in set(script.PICTURES) - {"convolution"}:
        monkeypatch.delitem(script.PICTURES, name)
    script.main(tmp_path / "new")
    written = (tmp_path / "new" / "convolution.svg").read_bytes()
    assert written == (FOLDER / "convolution.svg").read_bytes()
    assert "convolution.svg: " in capsys.readouterr().out
