"""Rows: ratios and limits round by round, and a note where there are no figures to trust."""

import pytest

from detector.benchmark.figures import rows_of
from detector.predictor import COCO_FLOAT, WEIGHTS

WORK = {300: 700_000_000, 512: 2_000_000_000}


def test_figures_of_all_rounds(make_setup, answer) -> None:
    quick, slow = make_setup("openvino", "int8", 2), make_setup("openvino", "float", 2)
    first = {quick: answer(50, load_s=2.0), slow: answer(90, load_s=3.0)}
    laps = {
        quick: [answer(5), answer(10, memory=170_000_000), answer(8)],
        slow: [answer(10), answer(40), answer(16)],
    }
    peaks = {("int8", 2): [700e9, 140e9, 175e9]}
    judged = {("openvino", "int8", 300): {"AP": 37.5}}
    a, b = rows_of(first, laps, peaks, judged, WORK)
    assert a.timed is not None
    assert b.timed is not None
    assert (a.timed.ms.middle, a.timed.slower, b.timed.slower) == (8, 1.0, 2.0)
    assert a.timed.of_peak == pytest.approx(0.5)  # 0.2, 0.5 and 0.5
    assert b.timed.of_peak is None
    assert (a.timed.memory, b.timed.memory) == (170_000_000, 150_000_000)
    assert (a.timed.first_load_s, a.timed.load_s) == (2.0, 0.5)
    assert (a.ap, b.ap, a.note, b.note) == (37.5, None, "", "")


def test_failures_are_notes(make_setup, answer) -> None:
    good, bad = make_setup("openvino", "float"), make_setup("opencv", "int8")
    late = make_setup("torch", "float")
    first = {bad: {"error": "cannot read it"}, good: answer(10), late: answer(5)}
    laps = {good: [answer(10)] * 2, late: [answer(5), {"error": "killed"}]}
    rows = rows_of(first, laps, {}, {}, WORK)
    assert [row.note for row in rows] == ["cannot read it", "", "failed in 1 of 2 rounds: killed"]
    assert [row.timed is None for row in rows] == [True, False, True]
    assert rows[1].timed is not None
    assert rows[1].timed.slower == 1.0  # what failed is not the fastest


def test_who_finds_something_else_is_told(make_setup, answer) -> None:
    good, odd = make_setup("openvino", "float"), make_setup("opencv", "float")
    elsewhere = make_setup("opencv", "float", size=512)
    first = {odd: answer(9, found=[]), good: answer(9), elsewhere: answer(9, found=[])}
    laps = {setup: [answer(9)] for setup in first}
    notes = [row.note for row in rows_of(first, laps, {}, {}, WORK)]
    assert "wrongly: it finds 0% of what openvino in float finds" in notes[0]
    assert notes[1:] == ["", ""]  # at 512 px there is nothing to hold it against


def test_files_are_what_the_engine_reads(make_setup, answer) -> None:
    setups = [make_setup("openvino", "float"), make_setup("torch", "float")]
    first = {setup: answer(9) for setup in setups}
    rows = rows_of(first, {setup: [answer(9)] for setup in setups}, {}, {}, WORK)
    weights = WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors"
    sizes = [path.stat().st_size for path in (COCO_FLOAT, weights)]
    assert [row.file_size for row in rows] == sizes
