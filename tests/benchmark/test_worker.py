"""One measurement in a process of its own: answers, memory, and engines that fail."""

import json
import os
import sys
from dataclasses import asdict

import pytest

from detector.benchmark import worker
from detector.benchmark.network import ask_worker


def test_calls_stop_at_the_count_or_the_time() -> None:
    now = [0.0]

    def call() -> float:
        now[0] += 1.0
        return now[0]

    def clock() -> float:
        return now[0]

    assert worker.repeat(call, 3, 100.0, clock) == [1.0, 2.0, 3.0]
    assert len(worker.repeat(call, 100, 7.0, clock)) == 7
    assert len(worker.repeat(call, 100, 0.5, clock)) == worker.LEAST  # slow ones too are measured


def test_memory_is_read_from_the_status_file(tmp_path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\n")
    assert worker.peak_memory(status) == 2048 * 1024


@pytest.mark.skipif(not worker.STATUS.exists(), reason="only Linux has it")
def test_memory_of_this_process() -> None:
    held = bytearray(os.urandom(1)) * 30_000_000
    assert (worker.peak_memory() or 0) > len(held)


def test_a_failure_is_an_answer(monkeypatch, capsys, make_setup) -> None:
    setup = {**asdict(make_setup("openvino", "float")), "path": "no.onnx"}
    job = {"what": "time", "setup": setup, "frames": 1}
    monkeypatch.setattr(sys, "argv", ["worker", json.dumps(job)])
    worker.main()
    assert json.loads(capsys.readouterr().out)["error"].startswith("no.onnx: no such model file")


@pytest.mark.slow
def test_a_fresh_process_measures(tmp_path, make_setup, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup = asdict(make_setup("openvino", "float", 2, 96))
    got = ask_worker(tmp_path, what="time", setup=setup, frames=6)
    assert len(got["ms"]) == 6
    assert got["per_second"] > 0
    assert 10e6 < got["memory"] < 2e9
    assert 0 < got["load_s"] < 60
    assert got["found"]
    assert len(list(tmp_path.glob("detector-*.blob"))) == 2  # one a number of streams
    assert ask_worker(tmp_path, what="peak", precision="float", threads=1)["rate"] > 1e8


def test_a_process_that_dies_is_an_answer(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "ended with code 1" in ask_worker(tmp_path, what="peak")["error"]
