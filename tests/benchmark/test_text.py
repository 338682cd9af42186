"""Tables as they are printed."""

from detector.benchmark.figures import rows_of
from detector.benchmark.network import Result
from detector.benchmark.text import (
    DASH,
    kept_lines,
    network_lines,
    peak_rows,
    stage_lines,
    table,
    video_lines,
)
from detector.benchmark.video import STAGES, VideoLap


def test_a_row_for_what_ran_and_a_note_for_what_did_not(make_setup, answer) -> None:
    good = make_setup("openvino", "float", 2)
    first = {good: answer(10, load_s=1.5)}
    first |= {make_setup("opencv", "int8", threads): {"error": "cannot"} for threads in (1, 2)}
    kind = ("float", 2)
    rows = rows_of(first, {good: [answer(10)]}, {kind: [140e9]}, {}, {300: 700_000_000})
    result = Result(rows, {kind: 140e9})
    assert network_lines(result) == [
        "| engine | precision | threads | ms a frame | p5 - p95 | frames/s | times the fastest "
        "| of the limit | memory | load, first | file |",
        "| " + " | ".join(["---"] * 11) + " |",
        "| openvino | float | 2 | 10.00 | 10.00 - 10.00 | 100.0 | 1.00 | 50% | 150 MB "
        "| 0.5 s, 1.5 s | 8.8 MB |",
        "",
        "- opencv, int8, 300 px: cannot",
        "",
        "multiply-adds of one picture: 700 M at 300 px",
        "the limit, multiply-adds a second of a stack of 1x1 convolutions: 140 G in float with "
        "2 threads",
    ]
    assert peak_rows(result) == [{"precision": "float", "threads": 2, "multiply_adds_per_s": 140e9}]


def test_columns_that_are_asked_for(make_setup, answer) -> None:
    setups = [make_setup("openvino", "float", 1, size) for size in (300, 512)]
    first = {setup: answer(10, memory=None) for setup in setups}
    judged = {("openvino", "float", 300): {"AP": 37.64}}
    laps = {setup: [first[setup]] for setup in setups}
    lines = network_lines(Result(rows_of(first, laps, {}, judged, {300: 1, 512: 2}), {}))
    assert "| threads | size |" in lines[0]
    assert lines[0].endswith("| AP |")
    assert lines[2].endswith("| 37.6 |")
    assert lines[3].endswith(f"| {DASH} |")
    assert f"| {DASH} | {DASH} |" in lines[2]  # neither limit nor memory
    assert lines[-1].endswith(f": {DASH}")


def test_videos() -> None:
    figures = {"network, 2 streams, int8": [20.0, 40.0], "demo, int8": [10.0, 20.0]}
    lines = video_lines(figures, "nobody")
    assert lines[2] == "| network, 2 streams, int8 | 30.0 | 20.0 - 40.0 | 33.33 | 1.00 |"
    assert video_lines(figures, "demo, int8")[2].endswith("| 2.00 |")
    assert kept_lines(figures) == ["the demo keeps 50% of the int8 network's own frames/s"]


def test_stages() -> None:
    laps = [VideoLap(1, 1.0, {stage: [float(n)] for n, stage in enumerate(STAGES)})] * 2
    lines = stage_lines({"one after another, int8": laps})
    assert lines[0] == "| ms a frame, one after another: median (p95) | int8 |"
    assert lines[3] == "| resize | 1.00 (1.00) |"
    assert lines[-1] == "| all | 10.00 |"
    assert stage_lines({}) == []


def test_a_cell_cannot_end_itself() -> None:
    assert table(["a"], [["b|c"]])[-1] == "| b\\|c |"
