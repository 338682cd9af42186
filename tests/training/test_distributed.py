"""Training in several processes is training in one, or close to it where that was asked for."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.errors import DetectorError
from detector.model.checkpoint import ModelCard
from detector.training import distributed, run
from detector.training.folder import write_settings
from detector.training.history import read_curves, read_rows
from detector.training.options import Machine, Recipe, Settings
from detector.training.recipe import Clock
from detector.training.start import load_checkpoint

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "processes" / "train_together.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
# Plain SGD: AdamW makes whole steps of differences in the last bit where a gradient is nearly 0.
SMALL = {
    **{"weights": "none", "width": 0.35, "size": 96, "batch": 2, "epochs": 4.0},
    **{"precision": "32", "bn": "frozen"},
}
SGD = {"optimiser": "sgd", "lr": 0.1, "head_lr": 0.1, "weight_decay": 0.05}
STEPS = 12  # 12 pictures, 4 epochs, 2 x 2 a step
TOLERANCE = 1e-4  # of losses and weights, relative: sums are ordered otherwise


@pytest.mark.parametrize(("count", "world"), [(7, 2), (6, 3), (1, 3), (5, 1)])
def test_shares_cover_everything_and_are_even(count, world):
    shares = [distributed.own_share(count, number, world) for number in range(world)]
    assert {len(share) for share in shares} == {-(-count // world)}
    assert distributed.in_order(shares, count) == list(range(count))


def test_a_process_on_its_own_needs_nobody():
    with distributed.together(Machine()):
        distributed.wait()
        distributed.agree({"--batch": 2})
        assert distributed.shard(3) == [0, 1, 2]
        judge = distributed.judged_by_first(lambda found: {"AP": float(len(found))}, 2)
        assert judge([None, None]) == {"AP": 2.0}


def test_processes_with_different_tasks_are_told(monkeypatch):
    def gather(brought, mine):
        brought[:] = [mine, {**mine, "--batch": 8}]

    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_gather_object", gather)
    with pytest.raises(
        DetectorError, match="process 1 of 2 comes with --batch 8, the first with 4"
    ):
        distributed.agree({"classes": ("a",), "--batch": 4})


def test_all_go_by_the_first_ones_clock(monkeypatch):
    clock = Clock(seconds=10)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    first = [3.0]
    now = [100.0]
    clock.told = lambda own: first[0]
    clock.start()
    now[0] = 104.0
    assert clock.elapsed() == 3.0
    first[0] = 5.0
    assert clock.progress(0) == pytest.approx(0.3)
    clock.tick()
    assert clock.progress(0) == pytest.approx(0.5)


def train_together(data, folder, fault="", **changes):
    """Train as the script does; returns it when done, and its rows (step, apart, messages)."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {**SMALL, "recipe": SGD, "data": str(data), **changes}
    spec = {"settings": chosen, "folder": str(folder), "fault": fault}
    place = folder.with_suffix(".spec")
    place.write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, SCRIPT, place], env=ENVIRONMENT, capture_output=True, text=True
    )
    rows = folder.with_suffix(".json")
    return done, json.loads(rows.read_text()) if rows.exists() else []


def assert_same(ours, theirs):
    """The same losses and measurements at every step, and the same weights at the end."""
    a, b = read_curves(ours), read_curves(theirs)
    assert [row[0] for row in a.losses] == list(range(1, STEPS + 1))
    np.testing.assert_allclose(a.losses, b.losses, rtol=TOLERANCE)
    np.testing.assert_allclose(a.measured, b.measured, atol=0.01)
    left, right = (load_checkpoint(f / "last.ckpt") for f in (ours, theirs))
    for part in ("state_dict", "current_model_state"):
        for name, value in right[part].items():
            difference = (left[part][name].float() - value.float()).norm()
            assert difference <= TOLERANCE * (value.float().norm() + 1e-2), (part, name)


@pytest.fixture(scope="module")
def two(shapes, tmp_path_factory):
    """A run of two processes with 2 pictures a step each."""
    folder = tmp_path_factory.mktemp("two") / "run"
    done, rows = train_together(shapes, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, rows, done


@pytest.mark.slow
def test_two_processes_are_one_with_the_doubled_batch(shapes, two, tmp_path):
    folder, rows, done = two
    chosen = Settings(**{**SMALL, "batch": 4, "data": str(shapes), "recipe": Recipe(**SGD)})
    (tmp_path / "one").mkdir()
    run.train(chosen, Machine(workers=0), tmp_path / "one", run.load(chosen))
    assert_same(folder, tmp_path / "one")
    assert [apart for _, apart, _ in rows] == [0.0] * STEPS
    assert done.stderr.count("12 training pictures") == 1  # one of them talks
    kept = load_checkpoint(folder / "last.ckpt")
    moved = [
        float((value - kept["current_model_state"][name]).norm() / value.norm())
        for name, value in kept["state_dict"].items()
        if name.startswith("model.class_heads") and name.endswith("weight")
    ]
    assert max(moved) > 10 * TOLERANCE  # the average is behind: a step too many would show


@pytest.mark.slow
def test_averaging_now_and_then(shapes, two, tmp_path):
    folder = tmp_path / "relaxed"
    recipe = {"lr": 3e-3, "head_lr": 3e-3}
    done, rows = train_together(shapes, folder, sync_every=3, bn="trained", recipe=recipe)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [step for step, apart, _ in rows if apart == 0] == [3, 6, 9, 12]
    # DDP arranges its buckets anew at the second step, once.
    assert [messages for step, _, messages in rows if step in (5, 8, 11)] == [0, 0, 0]
    assert sum(row[2] for row in rows) < 0.5 * sum(row[2] for row in two[1])
    curves = read_curves(folder)
    assert {step for step, *_ in curves.measured} <= {3, 6, 9, 12}
    losses = np.array(curves.losses)[:, 1:].sum(axis=1)
    assert losses[-4:].mean() < 0.9 * losses[:4].mean()


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 3])
def test_resumed_in_two_processes(shapes, tmp_path, every):
    """Killed, and gone on with: as if nothing had happened, to the last moment of the optimiser."""
    changes = {"sync_every": every, "recipe": {"lr": 1e-3, "head_lr": 1e-3, "optimiser": "rmsprop"}}
    done, _ = train_together(shapes, tmp_path / "whole", **changes)
    assert done.returncode == 0, done.stderr[-3000:]
    done, _ = train_together(shapes, tmp_path / "cut", fault="kill", **changes)
    assert done.returncode == 1
    assert "process 1 of the 2 that train together was killed (SIGKILL" in done.stderr
    assert "Traceback" not in done.stderr
    assert 1 <= load_checkpoint(tmp_path / "cut" / "last.ckpt")["global_step"] <= 5
    done, _ = train_together(shapes, tmp_path / "cut", **changes)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_the_process_that_fails_says_why(shapes, tmp_path):
    done, _ = train_together(shapes, tmp_path / "run", fault="raise")
    assert done.stderr.splitlines()[-1] == "error: the second process gives up"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_not_gone_on_with_by_fewer(tmp_path, finished):
    card = ModelCard(("disc",), alpha=1.0, backbone="mobilenet_v2")
    kept = {"card": asdict(card), "state_dict": {}, "world": 2, "fresh": [], "whole": True}
    kept["callbacks"] = {"Pace": {"finished": finished}}
    torch.save(kept, tmp_path / "last.ckpt")
    assert run._resumed(tmp_path, ("disc",), 2)
    if finished:  # only its files are left to write
        assert run._resumed(tmp_path, ("disc",), 1)
    else:
        with pytest.raises(DetectorError, match=r"begun by 2 processes .* give --devices 2"):
            run._resumed(tmp_path, ("disc",), 1)


@pytest.mark.slow
def test_by_the_clock_all_stop_at_the_same_step(shapes, tmp_path):
    done, rows = train_together(shapes, tmp_path / "run", epochs=None, minutes=0.05)
    assert done.returncode == 0, done.stderr[-3000:]
    curves = read_curves(tmp_path / "run")
    assert curves.measured[-1][0] == curves.losses[-1][0] == rows[-1][0]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise on Windows")
@pytest.mark.parametrize("how", ["--devices", "torchrun"])
def test_as_a_person_starts_it(shapes, tmp_path, how):
    """train.py in two processes; Ctrl-C ends both."""
    folder = tmp_path / "run"
    folder.mkdir()
    chosen = Settings(**{**SMALL, "epochs": 400.0, "data": str(shapes)})
    write_settings(folder, chosen, "test")
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words = ["train.py", "--resume", str(folder), "--workers", "0"]
    before = torchrun if how == "torchrun" else []
    after = ["--devices", "2"] if how == "--devices" else []
    started = subprocess.Popen(
        [sys.executable, *before, *words, *after],
        **{"cwd": ROOT, "env": ENVIRONMENT, "stderr": subprocess.PIPE, "start_new_session": True},
    )
    deadline = time.monotonic() + 300
    while len(read_rows(folder / "log.csv")) < 3 and time.monotonic() < deadline:
        assert started.poll() is None, started.communicate()[1].decode()[-2000:]
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGINT)
    errors = started.communicate(timeout=120)[1].decode()
    if how == "--devices":
        assert started.returncode == 130
        assert not re.search("Traceback|error", errors)
    left = len(read_rows(folder / "log.csv"))
    time.sleep(2)
    assert len(read_rows(folder / "log.csv")) == left  # nobody trains on
