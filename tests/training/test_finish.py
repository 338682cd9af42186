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
    monkeypatch.setattr(finish, "read_curves", lambda folder: None)

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
