"""A run on made pictures: what it learns, what it leaves, and how it refuses."""

import errno
import math
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from detector.errors import DetectorError
from detector.training import run
from detector.training.callbacks import Pace, same_classes
from detector.training.history import History, read_curves, read_rows
from detector.training.options import LossOptions, Machine, Recipe, Settings
from detector.training.recipe import Clock, lr_factor
from detector.training.start import load_checkpoint

HERE = Machine(workers=0, save_seconds=0.0)
# The backbone with the fewest layers: what is tested here does not depend on it.
SMALL = Settings(
    backbone="mobilenet_v1",
    weights="none",
    width=0.25,
    size=96,
    batch=4,
    epochs=2,
    precision="32",
)


def settings(data, **changes):
    return Settings(**{**SMALL.__dict__, "data": str(data), **changes})


def train(data, folder, machine=HERE, **changes):
    chosen = settings(data, **changes)
    folder.mkdir(exist_ok=True)
    return run.train(chosen, machine, folder, run.load(chosen))


class Enough(Exception):
    """A run has shown what it was asked for."""


def first_losses(data, folder, machine=HERE, **changes):
    """Class and box loss of the first three steps; the run is stopped there."""
    row = History._row

    def stop(self, values):
        row(self, values)
        if values[0] == "3":
            raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "_row", stop)
        with pytest.raises(Enough):
            train(data, folder, machine, epochs=4, **changes)
    return losses_of(folder)


def losses_of(folder):
    return np.array(read_curves(folder).losses)[:3, 1:]


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    """A finished run: its folder and how it went."""
    folder = tmp_path_factory.mktemp("runs") / "shapes"
    return folder, train(shapes, folder, epochs=4)


def test_a_run_logs_every_step_and_keeps_two_checkpoints(trained):
    folder, pace = trained
    curves = read_curves(folder)
    assert [step for step, *_ in curves.losses] == list(range(1, 13))
    assert np.isfinite(curves.losses).all()
    assert curves.measured[-1][0] == 12
    assert pace.finished
    best = max(ap for _, ap, _ in curves.measured)
    assert pace.best == pytest.approx(best, abs=1e-3)
    assert any((folder / "tensorboard").glob("events.*"))
    for name in ("last.ckpt", "best.ckpt"):
        assert load_checkpoint(folder / name)["card"]["class_names"] == ("disc", "square")


def test_the_log_has_the_rate_of_each_step(trained):
    rates = [float(row["lr"]) for row in read_rows(trained[0] / "log.csv") if row["lr"]]
    assert rates[0] == pytest.approx(3e-3 * lr_factor(0, 0.05))
    assert max(rates) == pytest.approx(3e-3, rel=0.3)
    assert rates[-1] > 0


def test_of_equals_the_later_is_kept_and_patience_runs():
    pace = Pace(Clock(100), 10, patience=3)
    for step, ap, improved, stale in (
        (10, 0.0, True, 0),
        (20, 0.0, True, 1),
        (30, 0.5, True, 0),
        (40, math.nan, False, 1),
        (50, 0.4, False, 2),
    ):
        pace.on_validation_end(
            SimpleNamespace(callback_metrics={"val/AP": ap}, global_step=step), None
        )
        assert (pace.improved, pace.stale, pace.finished) == (improved, stale, False)
    assert (pace.best, pace.best_step) == (0.5, 30)


@pytest.mark.parametrize(("weights", "head_lr"), [("none", 3e-3), ("coco", 1e-3)])
def test_rates_are_settled_and_those_given_stay(shapes, weights, head_lr):
    data = run.load(settings(shapes))
    made = run.settled(settings(shapes, weights=weights, recipe=Recipe(lr=0.5)), data).recipe
    assert (made.lr, made.head_lr, made.weight_decay) == (0.5, head_lr, 0.05)


def test_pictures_are_not_mirrored_where_classes_tell_left_from_right(shapes, capsys):
    data = run.load(settings(shapes))
    assert run.settled(settings(shapes), data).flips == 0.5
    sides = tuple(f"{side} hand" for side in ("left", "right"))
    hands = replace(data, train=replace(data.train, class_names=sides))
    capsys.readouterr()
    chosen = run.settled(settings(shapes), hands)
    assert chosen.flips == 0
    assert "'left hand' and 'right hand' are mirror images" in capsys.readouterr().err
    assert run.settled(chosen, hands).flips == 0
    assert run.settled(settings(shapes, flips=0.3), hands).flips == 0.3
    assert not capsys.readouterr().err


def test_it_learns(trained):
    folder, _ = trained
    losses = np.array(read_curves(folder).losses)[:, 1:].sum(axis=1)
    assert losses[-4:].mean() < 0.9 * losses[:4].mean()


def test_the_same_seed_gives_the_same_run_and_another_another(shapes, trained, tmp_path):
    again = first_losses(shapes, tmp_path / "again")
    other = first_losses(shapes, tmp_path / "other", seed=1)
    assert np.allclose(again, losses_of(trained[0]), rtol=1e-4)
    assert not np.allclose(other, losses_of(trained[0]), rtol=1e-2)


def test_what_is_kept_is_the_average(trained):
    loaded = load_checkpoint(trained[0] / "last.ckpt")
    assert loaded["state_dict"].keys() == loaded["current_model_state"].keys()
    moved = [
        not torch.equal(value, loaded["current_model_state"][name])
        for name, value in loaded["state_dict"].items()
        if name.endswith("weight")
    ]
    assert any(moved)


@pytest.mark.slow
@pytest.mark.parametrize("bn", ["frozen", "trained"])
def test_batch_norms_are_frozen_when_asked(shapes, trained, tmp_path, bn):
    start = trained[0] / "best.ckpt"  # random weights have no statistics to keep
    train(shapes, tmp_path / "r", epochs=1, bn=bn, weights=str(start))
    before = load_checkpoint(start)["state_dict"]
    after = load_checkpoint(tmp_path / "r" / "last.ckpt")["current_model_state"]
    means = [name for name in after if name.endswith("running_mean")]
    assert means
    assert all(torch.equal(before[name], after[name]) is (bn == "frozen") for name in means)


@pytest.mark.slow
def test_workers_do_not_change_what_is_seen(shapes, trained, tmp_path):
    ours = first_losses(shapes, tmp_path / "w", Machine(workers=1, save_seconds=60))
    assert np.allclose(ours, losses_of(trained[0]), rtol=1e-4)


@pytest.mark.slow
def test_a_run_ends_by_the_clock(shapes, tmp_path):
    pace = train(shapes, tmp_path / "m", epochs=None, minutes=0.03)
    assert pace.finished
    curves = read_curves(tmp_path / "m")
    assert curves.losses
    assert curves.measured[-1][0] == curves.losses[-1][0]


@pytest.mark.slow
def test_patience_stops_a_run_that_gets_no_better(shapes, tmp_path, capsys):
    frozen = Recipe(lr=1e-12, head_lr=1e-12)
    pace = train(shapes, tmp_path / "p", epochs=10, patience=2, recipe=frozen, bn="frozen")
    assert pace.finished
    assert read_curves(tmp_path / "p").losses[-1][0] < 30
    said = capsys.readouterr().err
    assert f"if this is stopped, go on with --resume {tmp_path / 'p'}\n" in said
    assert "AP got no better in 2 measurements, so the run is over (--patience); the best, " in said


def test_one_picture_and_one_class(make_shapes, tmp_path):
    data = make_shapes(tmp_path / "one", train=1, val=1, names=("disc",))
    assert train(data, tmp_path / "r", epochs=8).finished


@pytest.mark.slow
@pytest.mark.parametrize("losses", [LossOptions("dynamic", class_loss="quality", box_loss="giou")])
def test_the_other_objectives_train_too(shapes, tmp_path, losses):
    assert train(shapes, tmp_path / "o", epochs=1, losses=losses).finished


@pytest.mark.slow
def test_pictures_that_cannot_be_read_are_counted(make_shapes, tmp_path, capsys):
    data = make_shapes(tmp_path / "d")
    for path in (data / "train/images/train3.png", data / "val/images/val1.png"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    train(data, tmp_path / "r", epochs=1)
    assert "2 pictures cannot be used, left out; the first: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(trained, shapes, capsys):
    folder, pace = trained
    before = (folder / "last.ckpt").read_bytes()
    again = train(shapes, folder, epochs=4)
    assert (again.best, again.best_step) == (pace.best, pace.best_step)
    said = capsys.readouterr().err
    assert "training was over at step 12" in said
    assert f"start a new run with --weights {folder / 'best.ckpt'}" in said
    assert (folder / "last.ckpt").read_bytes() == before


def test_going_on_with_other_classes(trained, make_shapes, tmp_path):
    other = make_shapes(tmp_path / "other", names=("disc", "cube"))
    with pytest.raises(
        DetectorError, match="without square and with cube; --resume needs the same"
    ):
        train(other, trained[0], epochs=4)


def test_how_classes_differ():
    assert same_classes(Path("x"), ("a", "b"), ("a", "b")) == ""
    assert "in another order" in same_classes(Path("x"), ("a", "b"), ("b", "a"))
    assert same_classes(Path("x"), ("a",), ("a", "b")).endswith("comes with b")


def test_no_boxes_and_no_pictures(make_shapes, tmp_path):
    data = make_shapes(tmp_path / "d")
    for label in (data / "train" / "labels").iterdir():
        label.write_text("")
    with pytest.raises(DetectorError, match="train holds 12 pictures but no boxes to learn from"):
        run.load(settings(data))
    shutil.rmtree(data / "train" / "images")
    (data / "train" / "images").mkdir()
    with pytest.raises(DetectorError, match="no pictures"):
        run.load(settings(data))
    with pytest.raises(DetectorError, match="no --data"):
        run.load(settings(""))


def test_a_class_in_val_that_train_lacks_is_told(make_shapes, tmp_path, capsys):
    data = make_shapes(tmp_path / "d")
    for label in (data / "train" / "labels").iterdir():
        label.write_text(label.read_text().replace("1 ", "0 ", 1))
    run.load(settings(data))
    assert "class 'square' has 2 boxes here and none in train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 90}, "--size 90: expected 96 to 640"),
        ({"epochs": 1, "minutes": 1}, "give one of them"),
        ({"epochs": 0}, "--epochs 0: expected more than 0"),
        ({"batch": 0}, "--batch 0"),
        ({"batch": 1}, "batch norms cannot learn from one picture"),
        ({"crops": 1.5}, "--crops 1.5: expected 0 to 1"),
        ({"mosaic": -0.5}, "--mosaic -0.5: expected 0 to 1"),
        ({"recipe": Recipe(lr=float("nan"))}, "--lr nan"),
        ({"recipe": Recipe(ema=-0.1)}, "--ema -0.1"),
        ({"weights": "nowhere.safetensors"}, "no such file; expected coco"),
        ({"weights": "nowhere.ckpt"}, "nowhere.ckpt: no such file; expected coco"),
        ({"backbone": "resnet"}, "backbone 'resnet' is unknown"),
    ],
)
def test_settings_that_make_no_sense(shapes, tmp_path, changes, message):
    with pytest.raises(DetectorError, match=message) as caught:
        train(shapes, tmp_path / "r", **changes)
    assert "\n" not in str(caught.value)


def test_a_loss_that_explodes_names_pictures(shapes, tmp_path):
    with pytest.raises(DetectorError, match=r"train\d+\.png \((disc|square) [\d. ]+\): loss"):
        train(shapes, tmp_path / "r", losses=LossOptions(box_weight=1e6))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no file size limits on Windows")
def test_a_full_disk_leaves_the_last_good_checkpoint(trained, shapes, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    for name in ("last.ckpt", "best.ckpt"):
        shutil.copy(trained[0] / name, folder / name)
    loaded = load_checkpoint(folder / "last.ckpt")
    loaded["callbacks"]["Pace"]["finished"] = False
    torch.save(loaded, folder / "last.ckpt")
    before = (folder / "last.ckpt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(DetectorError, match=r"last\.ckpt: cannot write here") as caught:
            train(shapes, folder, epochs=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG).lower() in str(caught.value)
    assert (folder / "last.ckpt").read_bytes() == before
    assert not list(folder.glob(".*part*"))


@pytest.mark.slow
def test_crowds_of_small_objects_get_more_pixels_and_are_all_shown(make_shapes, tmp_path):
    data = make_shapes(tmp_path / "crowds", train=4, val=2)
    rows = [f"0 {x / 10:.2f} {y / 10:.2f} 0.05 0.05\n" for x in range(1, 10) for y in range(1, 8)]
    for path in data.glob("*/labels/*.txt"):
        path.write_text("".join(rows))
    train(data, tmp_path, size=0, epochs=1, batch=2, vote=0.2)
    card = load_checkpoint(tmp_path / "last.ckpt")["card"]
    assert (card["input_size"], card["top_k"], card["vote"]) == (512, 2 * len(rows), 0.2)
