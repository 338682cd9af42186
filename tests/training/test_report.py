"""The page of a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.evaluation.analysis import Analysis
from detector.training import report
from detector.training.artefacts import ModelFile
from detector.training.history import Curves
from detector.training.judge import Measured
from detector.training.report import smoothed, write_report

COMMANDS = ("detector train --data 'a&b'", "python demo.py --model runs/x/model.onnx")
CURVES = Curves(
    [(step, 1 / step, 0.5 / step) for step in range(1, 101)], [(50, 20.0, 40.0), (100, 30.0, 62.5)]
)


@pytest.fixture(scope="module")
def analysis(
    make_analysis: Callable[..., Analysis], tmp_path_factory: pytest.TempPathFactory
) -> Analysis:
    return make_analysis(tmp_path_factory.mktemp("pictures"), ["apple", "pear"])


def written(folder: Path, analysis: Analysis, curves: Curves = CURVES) -> str:
    files = [
        ModelFile(folder / "model.onnx", 8_812_000, Measured(analysis, 10.25)),
        ModelFile(folder / "model-int8.onnx", 4_800_000, Measured(analysis, 5.0)),
    ]
    path = write_report(folder, "a&b", COMMANDS, {"network": "<v2>"}, files, curves)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


def test_it_begins_with_what_to_do_and_ends_with_how_it_was_made(
    tmp_path: Path, analysis: Analysis
) -> None:
    page = written(tmp_path, analysis)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings[:4] == ["Try it", "Model files", "Training", "How good it is"]
    assert headings[-2:] == ["The worst pictures", "The run"]
    assert "python demo.py --model runs/x/model.onnx" in page
    assert page.index("detector train --data &#x27;a&amp;b&#x27;") > page.index('id="the-run"')
    assert "&lt;v2&gt;" in page
    assert "<v2>" not in page


def test_it_says_which_file_was_judged_and_how_all_did(tmp_path: Path, analysis: Analysis) -> None:
    page = written(tmp_path, analysis)
    assert "Judged by model.onnx on 4 validation pictures" in page
    for cell in ("8.8 MB", "4.8 MB", "10.2 ms", "5.0 ms", f"{analysis.figures['AP']:.1f}"):
        assert f"<td>{cell}</td>" in page


def test_curves_need_two_points(
    tmp_path: Path, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "sections", lambda analysis: "")
    page = written(tmp_path, analysis)
    assert page.count("<svg") == 2
    assert "AP50 ends at 62.5, AP ends at 30" in page
    page = written(tmp_path, analysis, Curves(CURVES.losses, CURVES.measured[:1]))
    assert page.count("<svg") == 1
    assert "Losses" in page
    assert "Training" not in written(tmp_path, analysis, Curves(CURVES.losses[:1], []))


def test_figures_that_nobody_knows_are_dashes(tmp_path: Path, analysis: Analysis) -> None:
    unknown = replace(analysis, figures=dict.fromkeys(analysis.figures, float("nan")))
    page = written(tmp_path, unknown)
    assert "\N{EN DASH}" in page
    assert not re.search(r">nan\b", page)


def test_losses_are_smoothed_over_the_past() -> None:
    values = np.array([4.0, 0.0, 2.0, 6.0])
    np.testing.assert_allclose(smoothed(values, 2), [4, 2, 1, 4])
    np.testing.assert_allclose(smoothed(values, 1), values)
