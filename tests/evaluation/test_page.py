"""The sections of an analysis, as a browser reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from detector.errors import DetectorError
from detector.evaluation.analyse import analyse
from detector.evaluation.analysis import Analysis
from detector.evaluation.page import by_ap, fewest, figures, sections, write_figures
from detector.page import page

VOID = {"meta", "img", "br", "hr", "link"}
ODD = ("<b>&\"'", "$x$", "_hidden", "芒果", "#ffffff", "a\nb")
PARTS = [
    *("How good it is", "Classes", "Curves", "What is taken for what", "Where it fails"),
    *("Can its scores be trusted?", "The worst pictures"),
]


class Reader(HTMLParser):
    """Tags, ids and text of a page; fails on tags that do not close each other."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def read(analysis: Analysis) -> Reader:
    return Reader(page("A title", sections(analysis)))


@pytest.fixture(scope="module")
def three(
    make_analysis: Callable[..., Analysis], tmp_path_factory: pytest.TempPathFactory
) -> Analysis:
    return make_analysis(tmp_path_factory.mktemp("three"), ["apple", "banana", "orange"])


@pytest.fixture(scope="module")
def three_read(three: Analysis) -> Reader:
    return read(three)


def test_every_part_is_there_and_linked(three_read: Reader) -> None:
    anchors = [attrs["id"] for attrs in three_read.of("h2")]
    assert [attrs["href"] for attrs in three_read.of("a")] == [f"#{anchor}" for anchor in anchors]
    assert [text for text in three_read.texts if text in PARTS][: len(PARTS)] == PARTS


def test_figures_are_those_of_the_analysis(three: Analysis, three_read: Reader) -> None:
    for name in ("AP", "AP50", "AP75"):
        assert f"{three.figures[name]:.1f}" in three_read.texts
    for one in three.classes:
        assert one.name in three_read.texts
        assert f"{one.ap:.1f}" in three_read.texts
        assert f"{one.best_f1:.2f}" in three_read.texts


def test_it_needs_nothing_but_itself(three_read: Reader) -> None:
    assert not three_read.of("script") + three_read.of("link")
    sources = [a.get("src") or a.get("href") or "" for _, a in three_read.tags]
    assert all(s.startswith(("data:image/jpeg;base64,", "#")) for s in sources if s)
    assert not re.search(r"url\((?!#)|@import", sections_text(three_read))


def sections_text(reader: Reader) -> str:
    return " ".join(f"{value}" for _, attrs in reader.tags for value in attrs.values())


def test_it_can_be_heard(three_read: Reader) -> None:
    plots = three_read.of("svg")
    assert len(plots) == 7
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)
    assert all(attrs["alt"] for attrs in three_read.of("img"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in three_read.of("th"))


def test_ids_are_unlike_and_references_lead_somewhere(three_read: Reader) -> None:
    ids = [attrs["id"] for _, attrs in three_read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    references = re.findall(r"#([\w-]+)\)", sections_text(three_read))
    references += [a["xlink:href"][1:] for _, a in three_read.tags if a.get("xlink:href")]
    assert references
    assert set(references) <= set(ids)


def test_names_are_text_whatever_they_hold(
    make_analysis: Callable[..., Analysis], tmp_path: Path
) -> None:
    reader = read(make_analysis(tmp_path, ODD))
    for name in ODD:
        shown = " ".join(name.split())
        # In the table, and in the legends of two plots, where a blank may come first.
        assert sum(text.strip().startswith(shown) for text in reader.texts) >= 3, name


@pytest.mark.parametrize(("classes", "plots"), [(1, 7), (14, 7), (200, 9)])
def test_any_number_of_classes(
    make_analysis: Callable[..., Analysis], tmp_path: Path, classes: int, plots: int
) -> None:
    analysis = make_analysis(tmp_path, [f"kind{i}" for i in range(classes)], classes // 6 + 1)
    text = sections(analysis)
    reader = Reader(page("A title", text))
    assert len(text) < 5_000_000
    rows = [t for t in reader.texts if re.fullmatch(r"kind\d+", t)]
    assert set(rows) == {f"kind{i}" for i in range(classes)}
    assert len(reader.of("svg")) == plots


def test_many_classes_show_those_with_enough_boxes(three: Analysis) -> None:
    one = three.classes[0]
    many = [replace(one, name=str(i), truths=i, ap=float(i % 7)) for i in range(1, 31)]
    assert fewest(many) == 15
    assert fewest(many[:24]) == 1
    drawn = figures(replace(three, classes=many, confusion=np.zeros((31, 31), np.int64)))
    legend = set(re.findall(r">\s*(\d+) \d+\.\d</text>", drawn["precision-recall"].svg))
    assert len(legend) == 12
    assert all(int(name) >= 15 for name in legend)


def test_classes_come_worst_first_and_those_without_boxes_last(three: Analysis) -> None:
    nothing = replace(three.classes[0], name="none", truths=0, ap=np.nan, ap50=np.nan)
    analysis = replace(three, classes=[nothing, *three.classes])
    aps = [one.ap for one in by_ap(analysis)]
    assert aps == sorted(aps)
    assert len(aps) == 3
    texts = read(replace(analysis, confusion=np.zeros((5, 5), np.int64))).texts
    assert max(texts.index(one.name) for one in three.classes) < texts.index("none")


def test_nothing_labelled_is_said(three: Analysis) -> None:
    pictures = [
        replace(
            worst.picture,
            xyxy=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
            ignore=np.zeros(0, np.bool_),
        )
        for worst in three.worst
    ]
    assert pictures
    text = " ".join(read(analyse(pictures, ["apple", "banana", "orange"])).texts)
    assert "There is no labelled box in these pictures" in text
    assert not re.search(r"\bnan\b", text)


def test_a_crowd_is_told_of(three: Analysis) -> None:
    assert "objects of a class" not in " ".join(read(three).texts)
    text = " ".join(read(replace(three, crowded=2)).texts)
    assert "2 pictures with more than 100 objects of a class" in text


def test_nothing_found_and_no_pictures(three: Analysis) -> None:
    pictures = [replace(w.picture, found=w.picture.found[:0]) for w in three.worst]
    text = " ".join(read(analyse(pictures, ["apple", "banana", "orange"])).texts)
    assert "missed" in text
    assert not re.search(r"\bnan\b", text)
    assert "0.0" in text
    read(analyse([], ["apple"]))


def test_figures_are_written_as_files(three: Analysis, tmp_path: Path) -> None:
    paths = write_figures(tmp_path / "figures", figures(three))
    assert {path.name for path in paths} == {
        f"{name}.{suffix}" for name in figures(three) for suffix in ("svg", "png")
    }
    for path in paths:
        if path.suffix == ".png":
            assert cv2.imread(str(path)).shape[1] > 500
            continue
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--" not in path.read_text(encoding="utf-8")
    with pytest.raises(DetectorError, match="there is no folder"):
        write_figures(tmp_path / "no" / "where", {})
