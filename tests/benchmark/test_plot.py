"""Plots show every setup."""

import pytest

from detector.benchmark.figures import rows_of
from detector.benchmark.plot import draw_networks, draw_video

pytest.importorskip("matplotlib")


@pytest.fixture
def make_rows(make_setup, answer):
    def make(judged):
        setups = [make_setup("openvino", "int8", 2), make_setup("onnxruntime", "float", 1)]
        first = {setup: answer(10 + n) for n, setup in enumerate(setups)}
        laps = {setup: [first[setup]] for setup in setups}
        return rows_of(first, laps, {}, judged, {300: 1})

    return make


def test_latency_alone(make_rows) -> None:
    svg = draw_networks(make_rows({}), "a $title", "svg").decode()
    assert "openvino, int8, 2 threads, 300 px" in svg
    assert "onnxruntime, float, 1 thread, 300 px" in svg
    assert "a $title" in svg
    assert ">11.0<" in svg
    assert draw_networks(make_rows({}), "a $title", "svg").decode() == svg


def test_accuracy_against_latency(make_rows) -> None:
    kinds = [("openvino", "int8", 300), ("onnxruntime", "float", 300)]
    svg = draw_networks(make_rows({kind: {"AP": 37.0} for kind in kinds}), "t", "svg").decode()
    assert ">AP<" in svg
    assert ">openvino, int8<" in svg
    assert ">onnxruntime, float<" in svg


def test_a_video_as_png() -> None:
    assert draw_video({"demo": [10.0, 30.0, 20.0]}, "t", "png").startswith(b"\x89PNG")
    assert ">20<" in draw_video({"demo": [10.0, 30.0, 20.0]}, "t", "svg").decode()
