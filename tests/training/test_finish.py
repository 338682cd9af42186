"""What a run says of itself once it has trained."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from detector.data.example import Dataset
from detector.model.checkpoint import ModelCard
from detector.training import artefacts, finish, recipe
from detector.training.callbacks import Pace
from detector.training.history import Curves
from detector.training.options import Settings
from detector.training.recipe import Clock
from detector.training.run import Data


@pytest.mark.parametrize("trained", [50.0, 0.0])
def test_a_runs_seconds_are_those_of_its_training_with_what_went_before_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: float
) -> None:
    """Not those that writing model files takes, which is longer than some runs."""
    now, facts = [1000.0], {}

    def write_models(*_: object) -> list[artefacts.ModelFile]:
        now[0] += 500
        return []

    def write_report(folder: Path, name: str, commands: object, told: object, *_: object) -> str:
        facts.update(told)  # type: ignore[call-overload]
        return f"{folder}/report.html"

    monkeypatch.setattr(recipe, "time", SimpleNamespace(monotonic=lambda: now[0]))
    card = ModelCard("mobilenet_v2", 1.0, ("square",))
    monkeypatch.setattr(finish, "load_network", lambda path: (None, card))
    monkeypatch.setattr(artefacts, "write_models", write_models)
    monkeypatch.setattr(finish, "write_report", write_report)
    monkeypatch.setattr(finish, "read_curves", lambda folder: Curves([], []))

    clock = Clock(steps=10)
    clock.spent = 100.0
    if trained:  # else the run was finished before, and there is only what it leaves to write
        clock.start()
        now[0] += trained
    nothing = Dataset((), ("square",))
    pace = Pace(clock, times=1, patience=0)
    finish.finish(Settings(), tmp_path, Data("squares", nothing, nothing), pace)
    assert json.loads((tmp_path / "metrics.json").read_text())["seconds"] == 100 + trained
    assert facts["time"] == ("2:30" if trained else "1:40")


@pytest.mark.parametrize(
    ("measured", "advice"),
    [
        ([27, 35, 40, 43, 48, 54, 55.5, 58.5, 59.4, 59.7], "from 55.5 to 59.7 in the last third"),
        ([27, 35, 40, 43, 48, 54, 58, 58.5, 59.4, 59.7], ""),  # the end of a cosine
        ([27, 35, 40, 43, 48, 54, 55.5, 60, 59.4, 59.7], ""),  # better before
        ([10, 20, 30, 40, 50], ""),  # few tell nothing
        ([0, 0, 0, 0, 0, 0], ""),
        ([], ""),
    ],
)
def test_who_could_have_learned_more_is_told(measured: list[float], advice: str) -> None:
    said = finish.longer(Settings(epochs=50), measured, 100)
    assert said.endswith("(--epochs 100)") if advice else not said
    assert advice in said
    if advice:
        assert "(--minutes 5)" in finish.longer(Settings(minutes=2.5), measured, 100)
        assert "(--epochs 128)" in finish.longer(Settings(), measured, 100)  # 64 by default
