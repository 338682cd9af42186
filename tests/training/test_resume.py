"""A run that was stopped goes on as if it never had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.training import run
from detector.training.folder import write_settings
from detector.training.history import History, read_curves, read_rows
from detector.training.options import Machine, Recipe, Settings
from detector.training.start import load_checkpoint

pytestmark = pytest.mark.slow  # all of them train
ROOT = Path(__file__).parents[2]
STEPS = 15  # 12 pictures, 5 epochs, 4 a step; measured after 5, 10 and 15
TOLERANCE = 1e-4  # of losses, relative: sums may be ordered otherwise


class Cut(Exception):
    """Somebody pulled the plug."""


def settings(data, **changes):
    small = {"backbone": "mobilenet_v1", "width": 0.25, "size": 96, "batch": 4, "precision": "32"}
    # A rate at which the weights move so much that a wrong optimiser state would show.
    recipe = Recipe(lr=3e-3, head_lr=3e-3)
    return Settings(
        **{**small, "weights": "none", "data": str(data), "epochs": 5, "recipe": recipe, **changes}
    )


def go(chosen, folder, save_seconds=0.0):
    folder.mkdir(exist_ok=True)
    machine = Machine(workers=0, save_seconds=save_seconds)
    return run.train(chosen, machine, folder, run.load(chosen))


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory):
    """A run never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    go(settings(shapes), folder, save_seconds=60)
    return folder


def assert_same(folder, whole):
    """Same losses and measurements at every step, same weights, average and optimiser state."""
    ours, theirs = read_curves(folder), read_curves(whole)
    assert [row[0] for row in ours.losses] == list(range(1, STEPS + 1))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=TOLERANCE, atol=1e-6)
    assert [row[0] for row in ours.measured] == [row[0] for row in theirs.measured]
    np.testing.assert_allclose(ours.measured, theirs.measured, atol=0.5)
    a, b = (load_checkpoint(f / "last.ckpt") for f in (folder, whole))
    for part in ("state_dict", "current_model_state"):
        for name, value in b[part].items():
            assert torch.allclose(a[part][name], value, rtol=1e-3, atol=1e-4), (part, name)
    assert a["global_step"] == b["global_step"] == STEPS
    assert a["lr_schedulers"][0]["last_epoch"] == b["lr_schedulers"][0]["last_epoch"]
    moments = [c["optimizer_states"][0]["state"][0]["exp_avg"] for c in (a, b)]
    assert torch.allclose(*moments, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("step", [3, 5, 15])  # 5: before a measurement; 15: before the last
def test_interrupted_and_resumed(shapes, whole, tmp_path, monkeypatch, step):
    """Ctrl-C keeps the step it comes in, whatever `save_seconds` is."""
    row = History._row
    rows = []

    def press(self, values):
        row(self, values)
        rows.append(values[0])
        if rows.count(str(step)) == 1:  # a measurement is a row of its own
            rows.append(str(step))
            signal.raise_signal(signal.SIGINT)

    chosen, folder = settings(shapes), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(History, "_row", press)
        with pytest.raises(SystemExit):  # Lightning's word for Ctrl-C
            go(chosen, folder, save_seconds=3600)
    assert load_checkpoint(folder / "last.ckpt")["global_step"] == step
    go(chosen, folder)
    assert_same(folder, whole)


@pytest.mark.parametrize("cut_at", [1, 5, 8, 14])  # 8: mid-epoch, with a measurement behind it
def test_stopped_and_resumed(shapes, whole, tmp_path, monkeypatch, cut_at):
    row = History._row

    def cut(self, values):
        if values[0] == str(cut_at + 1):
            raise Cut
        row(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(History, "_row", cut)
        with pytest.raises(Cut):
            go(settings(shapes), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == cut_at
    pace = go(settings(shapes), tmp_path / "run", save_seconds=60)
    assert pace.finished
    assert_same(tmp_path / "run", whole)


def test_a_measurement_cut_short_is_made_up_for(shapes, whole, tmp_path, monkeypatch):
    def cut(self, trainer, module):
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_validation_end", cut)
        with pytest.raises(Cut):
            go(settings(shapes), tmp_path / "run")
    go(settings(shapes), tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_rows_after_the_checkpoint_are_written_again(shapes, whole, tmp_path, monkeypatch):
    """The kill came steps after the last save: those are done again, and logged once."""
    row = History._row

    def cut(self, values):
        row(self, values)
        if values[0] == "9":
            (tmp_path / "run" / "last.ckpt").write_bytes(kept[0])
            raise Cut

    saved = History.on_train_batch_end
    kept = []

    def keep(self, trainer, *args):
        if trainer.global_step == 6:
            kept.append((tmp_path / "run" / "last.ckpt").read_bytes())
        saved(self, trainer, *args)

    with monkeypatch.context() as patch:
        patch.setattr(History, "_row", cut)
        patch.setattr(History, "on_train_batch_end", keep)
        with pytest.raises(Cut):
            go(settings(shapes), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == 5
    assert len(read_rows(tmp_path / "run" / "log.csv")) >= 9
    go(settings(shapes), tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_time_spent_is_not_spent_again(shapes, tmp_path, monkeypatch):
    by_time = settings(shapes, epochs=None, minutes=0.05)
    row = History._row

    def cut(self, values):
        row(self, values)
        if float(values[1]) > 1.0:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(History, "_row", cut)
        with pytest.raises(Cut):
            go(by_time, tmp_path / "run")
    pace = go(by_time, tmp_path / "run")
    assert pace.clock.spent > 0.5
    seconds = [float(r["seconds"]) for r in read_rows(tmp_path / "run" / "log.csv")]
    assert seconds == sorted(seconds)
    assert seconds[-1] >= 3.0


def test_killed_in_mid_epoch(shapes, whole, tmp_path):
    """As a user would: the process is killed outright, then `--resume`."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_settings(folder, settings(shapes), "test")
    words = [sys.executable, "train.py", "--resume", str(folder), "--save-seconds", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(read_rows(folder / "log.csv")) < 4 and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()[1].decode()[-2000:]
        time.sleep(0.005)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert 1 <= load_checkpoint(folder / "last.ckpt")["global_step"] < STEPS
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"python demo.py --model {folder / 'model.onnx'}"
    assert_same(folder, whole)
