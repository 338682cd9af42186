"""The frame of every report."""

import base64
import re

import cv2
import numpy as np
import pytest

from detector.errors import DetectorError
from detector.page import card, command, facts, page, photo, printable, section, table, write_page


def test_plain_text_is_escaped_wherever_it_goes():
    odd = "<b>&\"'"
    made = (
        page(odd, "", odd) + section(odd, "", odd) + card(odd, "", odd) + command(odd),
        table([odd], [], odd) + facts({odd: odd}) + photo(np.zeros((2, 2, 3), np.uint8), odd),
    )
    text = "".join(made)
    assert "<b>" not in text
    assert text.count("&lt;b&gt;&amp;&quot;&#x27;") == 13


def test_links_lead_to_sections_when_there_are_several():
    three = section("One", "") + section("Two & more?", "") + section("3", "")
    text = page("t", three)
    assert re.findall(r'<a href="#([^"]*)">([^<]*)</a>', text) == [
        ("one", "One"),
        ("two-more", "Two &amp; more?"),
        ("3", "3"),
    ]
    assert "<nav" not in page("t", section("One", ""))


def test_a_table_names_its_rows_and_columns():
    text = table(["name", "size"], [["a", "1"], ["b", "2"]], "Sizes")
    assert text.count('<th scope="col">') == text.count('<th scope="row">') == 2
    assert 'aria-label="Sizes"' in text


def test_a_photo_is_inside_the_page():
    image = np.full((30, 40, 3), 200, np.uint8)
    text = photo(image, "a wall")
    data = re.search(r'alt="a wall" width="40" height="30" src="data:image/jpeg;base64,(.+)"', text)
    assert data
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data[1]), np.uint8), cv2.IMREAD_COLOR)
    assert abs(shown.astype(int) - 200).max() < 4


def test_a_page_needs_no_network():
    text = page("t", section("One", ""))
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)


def test_pages_are_written_whole_or_not_at_all(tmp_path):
    write_page(tmp_path / "a.html", "Title", "<p>body</p>", subtitle="sub")
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]
    assert "<p>body</p>" in (tmp_path / "a.html").read_text(encoding="utf-8")
    with pytest.raises(DetectorError, match=r"--there .*: there is no folder"):
        write_page(tmp_path / "no" / "a.html", "t", "", option="--there")


def test_one_printable_line():
    assert printable(" a\n\tb\x00c ") == "a b c"
