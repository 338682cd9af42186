"""`detector benchmark`: what it prints, writes and refuses."""

import json
import shlex

import pytest

from detector.benchmark import network
from detector.cli import main
from detector.predictor import COCO_FLOAT

pytestmark = pytest.mark.usefixtures("opencv_threads")


def run(words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *shlex.split(words)])
    return ended.value.code or 0


@pytest.fixture
def quick(monkeypatch) -> list[dict]:
    """Workers that answer at once; the jobs they got."""
    jobs: list[dict] = []
    seen = [[0, 0.9, 10.0, 10.0, 50.0, 90.0]]

    def ask(cache, **job):
        jobs.append(job)
        if job["what"] == "peak":
            return {"rate": 100e9}
        if job["setup"]["engine"] == "opencv":
            return {"error": "OpenCV cannot"}
        figures = {"ms": [10.0], "per_second": 100.0, "load_s": 0.5, "memory": 1000}
        return {**figures, "found": seen}

    monkeypatch.setattr(network, "ask_worker", ask)
    return jobs


def test_networks(quick, capsys, tmp_path) -> None:
    words = "--engines openvino,opencv --threads 2 --sizes 300 160 --rounds 2 --frames 7"
    assert run(f"{words} --json {tmp_path / 'a.json'} --plot {tmp_path / 'a.svg'}") == 0
    out = capsys.readouterr().out
    assert out.count("| openvino |") == 4
    assert "- opencv, int8, 160 px: OpenCV cannot" in out
    assert "multiply-adds of one picture: 733 M at 300 px" in out
    assert {job["frames"] for job in quick if job["what"] == "time"} == {7}
    got = json.loads((tmp_path / "a.json").read_text())
    assert len(got["rows"]) == 8
    assert got["machine"]["cores"] >= 1
    assert {row["timed"]["ms"]["middle"] for row in got["rows"] if row["timed"]} == {10.0}
    assert "openvino, int8, 2 threads, 300 px" in (tmp_path / "a.svg").read_text()


def test_json_instead_of_tables(quick, capsys) -> None:
    assert run(f"--engines openvino --model {COCO_FLOAT} --precisions float --json -") == 0
    got = json.loads(capsys.readouterr().out)
    assert {row["setup"]["precision"] for row in got["rows"]} == {"float"}
    assert 1 in {row["setup"]["threads"] for row in got["rows"]}


@pytest.mark.slow
def test_a_video(capsys, tmp_path) -> None:
    words = f"--source sample --rounds 1 --frames 3 --sizes 96 --json {tmp_path / 'v.json'}"
    assert run(f"{words} --plot {tmp_path / 'v.png'}") == 0
    out = capsys.readouterr().out
    for what in ("network, 1 stream, int8", "demo, int8", "demo, float", "OpenCV DNN loop, float"):
        assert f"| {what} |" in out
    assert "the demo keeps" in out
    for stage in ("read and decode a frame", "resize", "network", "threshold and NMS", "draw"):
        assert f"| {stage} |" in out
    got = json.loads((tmp_path / "v.json").read_text())
    assert got["frames"] == 3
    assert len(got["laps"]["one after another, int8"][0]["stages"]["read"]) == 3
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rounds 0", "--rounds is 0; expected a whole number from 1"),
        ("--frames 0", "--frames is 0; expected"),
        ("--engines tensorrt", "--engines tensorrt: expected openvino, onnxruntime, opencv"),
        ("--precisions int4", "--precisions int4: expected int8, float"),
        ("--sizes 300 20", "--sizes is 20; expected a whole number from 96 to 1280"),
        ("--threads -1", "--threads is -1"),
        ("--plot a.gif", "--plot a.gif: expected a .png or .svg file"),
        ("--json none/a.json", "--json none/a.json: there is no folder none"),
        ("--source sample --sizes 300 512", "--sizes takes one number with --source"),
        ("--source sample --engines torch", "torch does not run with --source"),
        ("--source sample --data x", "--data is for networks"),
        ("--source none.mp4", "none.mp4"),
        ("--model none.onnx", "none.onnx: no such model file"),
        ("--data none", "none"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: str, said: str, capsys) -> None:
    assert run(words) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert said in line
    assert line == lines[-1]


@pytest.mark.slow
def test_real_workers(capsys) -> None:
    words = "--engines openvino,opencv --threads 1 --sizes 96 --rounds 1 --frames 5"
    assert run(f"{words} --precisions float") == 0
    out, said = capsys.readouterr()
    assert "| openvino | float | 1 |" in out
    assert " G in float with 1 thread" in out
    assert "round 1 of 1" in said
