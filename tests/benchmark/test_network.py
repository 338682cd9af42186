"""What is measured: every combination there is, in turn, each by a worker."""

from pathlib import Path

import pytest

from detector.benchmark import engines
from detector.benchmark.network import measure, plan
from detector.errors import DetectorError
from detector.predictor import COCO_FLOAT, COCO_INT8

FILES = {"int8": COCO_INT8, "float": COCO_FLOAT}


def test_every_combination_and_torch_in_float_only() -> None:
    setups, notes = plan(FILES, ["openvino", "torch"], [1, 2], [300, 512])
    kinds = [(s.engine, s.precision, s.threads, s.size) for s in setups]
    assert len(kinds) == len(set(kinds)) == 12
    assert {s.precision for s in setups if s.engine == "torch"} == {"float"}
    assert not notes


def test_what_is_not_there_is_left_out_and_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(engines.NEEDED, "onnxruntime", "no_such_package")
    own = tmp_path / "own.onnx"
    setups, notes = plan({"float": own}, ["openvino", "onnxruntime", "torch"], [1], [300])
    assert [s.engine for s in setups] == ["openvino"]
    assert notes[0] == "onnxruntime is left out: not installed"
    assert notes[1].startswith("torch is left out: ")
    with pytest.raises(DetectorError, match="nothing is left to measure; onnxruntime is left out"):
        plan(FILES, ["onnxruntime"], [1], [300])


def test_rounds_are_interleaved_and_hold_the_limit(make_setup, answer) -> None:
    asked: list[tuple[str, str]] = []
    able, unable = make_setup("openvino", "float"), make_setup("opencv", "float")

    def ask(**job):
        asked.append((job["what"], job.get("setup", {}).get("engine", "")))
        if job["what"] == "peak":
            assert (job["precision"], job["threads"]) == ("float", 1)
            return {"rate": 100e9 + len(asked)}
        if job["what"] == "judge":
            assert job["data"] == "pictures"
            return {"AP": 37.6}
        return answer(10) if job["setup"]["engine"] == "openvino" else {"error": "no"}

    said: list[str] = []
    result = measure([able, unable], 2, 50, said.append, Path("pictures"), ask)
    warm = [("time", "openvino"), ("time", "opencv"), ("judge", "openvino")]
    assert asked == [*warm, *[("time", "openvino"), ("peak", "")] * 2]
    assert [row.note for row in result.rows] == ["", "no"]
    assert result.rows[0].ap == 37.6
    assert result.peaks == {("float", 1): 100e9 + 7}
    assert said[0] == "warm-up of 2 setups, then 2 rounds"
