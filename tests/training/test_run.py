"""A run on made pictures: what it learns, what it leaves, and how it refuses."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from detector.data.example import Example
from detector.errors import DetectorError
from detector.training import plan, run
from detector.training.callbacks import same_classes
from detector.training.feed import Feed, Places
from detector.training.folder import claim, read_settings, write_settings
from detector.training.history import read_curves
from detector.training.judge import Judge, coco_truth, thinned
from detector.training.options import LossOptions, Machine, Recipe, Settings
from detector.training.recipe import Clock
from detector.training.start import load_checkpoint

HERE = Machine(workers=0, save_seconds=0.0)
SMALL = Settings(weights="none", width=0.35, size=96, batch=4, epochs=2, precision="32")


def settings(data, **changes):
    return Settings(**{**SMALL.__dict__, "data": str(data), **changes})


def train(data, folder, machine=HERE, **changes):
    chosen = settings(data, **changes)
    folder.mkdir(exist_ok=True)
    return run.train(chosen, machine, folder, run.load(chosen))


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


def test_it_learns(trained):
    folder, _ = trained
    losses = np.array(read_curves(folder).losses)[:, 1:].sum(axis=1)
    assert losses[-4:].mean() < 0.9 * losses[:4].mean()


def test_the_same_seed_gives_the_same_run_and_another_another(shapes, trained, tmp_path):
    def first_losses(folder):
        return np.array(read_curves(folder).losses)[:3, 1:]

    train(shapes, tmp_path / "again", epochs=4)
    train(shapes, tmp_path / "other", epochs=1, seed=1)
    assert np.allclose(first_losses(tmp_path / "again"), first_losses(trained[0]), rtol=1e-4)
    assert not np.allclose(first_losses(tmp_path / "other"), first_losses(trained[0]), rtol=1e-2)


def test_what_is_kept_is_the_average(trained):
    loaded = load_checkpoint(trained[0] / "last.ckpt")
    assert loaded["state_dict"].keys() == loaded["current_model_state"].keys()
    moved = [
        not torch.equal(value, loaded["current_model_state"][name])
        for name, value in loaded["state_dict"].items()
        if name.endswith("weight")
    ]
    assert any(moved)


@pytest.mark.parametrize("bn", ["frozen", "trained"])
def test_batch_norms_are_frozen_when_asked(shapes, tmp_path, bn):
    train(shapes, tmp_path / "r", epochs=1, bn=bn)
    state = load_checkpoint(tmp_path / "r" / "last.ckpt")["current_model_state"]
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    assert means
    assert all(bool((mean == 0).all()) is (bn == "frozen") for mean in means)


def test_workers_do_not_change_what_is_seen(shapes, trained, tmp_path):
    train(shapes, tmp_path / "w", Machine(workers=1, save_seconds=60), epochs=4)
    ours, theirs = (np.array(read_curves(f).losses)[:3] for f in (tmp_path / "w", trained[0]))
    assert np.allclose(ours, theirs, rtol=1e-4)


def test_a_run_ends_by_the_clock(shapes, tmp_path):
    pace = train(shapes, tmp_path / "m", epochs=None, minutes=0.03)
    assert pace.finished
    curves = read_curves(tmp_path / "m")
    assert curves.losses
    assert curves.measured[-1][0] == curves.losses[-1][0]


def test_patience_stops_a_run_that_gets_no_better(shapes, tmp_path):
    frozen = Recipe(lr=1e-12, head_lr=1e-12)
    pace = train(shapes, tmp_path / "p", epochs=20, patience=2, recipe=frozen, bn="frozen")
    assert pace.finished
    assert read_curves(tmp_path / "p").losses[-1][0] < 60


def test_one_picture_and_one_class(make_shapes, tmp_path):
    data = make_shapes(tmp_path / "one", train=1, val=1, names=("disc",))
    assert train(data, tmp_path / "r", epochs=8).finished


@pytest.mark.parametrize("losses", [LossOptions("dynamic", class_loss="quality", box_loss="giou")])
def test_the_other_objectives_train_too(shapes, tmp_path, losses):
    assert train(shapes, tmp_path / "o", epochs=1, losses=losses).finished


def test_pictures_that_cannot_be_read_are_counted(make_shapes, tmp_path, capsys):
    data = make_shapes(tmp_path / "d")
    for path in (data / "train/images/train3.png", data / "val/images/val1.png"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    train(data, tmp_path / "r", epochs=1)
    assert "2 pictures cannot be read and are left out; the first: " in capsys.readouterr().err


def test_a_finished_run_is_not_trained_again(trained, shapes, capsys):
    folder, pace = trained
    before = (folder / "last.ckpt").read_bytes()
    again = train(shapes, folder, epochs=4)
    assert (again.best, again.best_step) == (pace.best, pace.best_step)
    assert "training was over at step 12" in capsys.readouterr().err
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
    with pytest.raises(DetectorError, match="train holds 12 pictures but no boxes"):
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
        ({"precision": "bf16-mixed"}, "wrong gradients up to --size 256"),
        ({"crops": 1.5}, "--crops 1.5: expected 0 to 1"),
        ({"recipe": Recipe(lr=float("nan"))}, "--lr nan"),
        ({"recipe": Recipe(ema=-0.1)}, "--ema -0.1"),
        ({"weights": "nowhere.safetensors"}, "no such file; expected coco"),
        ({"weights": "nowhere.ckpt"}, "no such checkpoint"),
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


def test_out_of_memory_says_which_batch_to_use():
    with (
        pytest.raises(DetectorError, match="with --batch 16 at 300 px; use --batch 8"),
        run.short_memory(Settings()),
    ):
        torch.empty(1 << 55, dtype=torch.uint8)
    with (
        pytest.raises(DetectorError, match="use a smaller --size"),
        run.short_memory(Settings(batch=1)),
    ):
        raise MemoryError
    with pytest.raises(RuntimeError, match="size"), run.short_memory(Settings()):
        torch.zeros(2) @ torch.zeros(3)


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


def test_an_existing_run_is_never_overwritten_unasked(tmp_path):
    folder = tmp_path / "runs" / "a"
    claim(folder, overwrite=False)
    write_settings(folder, SMALL, "detector train --data x")
    with pytest.raises(DetectorError, match=r"exists already.*--resume.*--overwrite"):
        claim(folder, overwrite=False)
    claim(folder, overwrite=True)
    assert list(folder.iterdir()) == []


def test_overwrite_spares_folders_that_are_no_runs(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DetectorError, match="not the folder of a run"):
        claim(tmp_path, overwrite=True)
    with pytest.raises(DetectorError, match="is a file"):
        claim(tmp_path / "thesis.txt", overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


def test_no_permission(tmp_path):
    code = "import os; from detector.training.folder import claim; from pathlib import Path\n"
    code += "os.setuid(65534)\n" if os.getuid() == 0 else ""  # root may write everywhere
    code += f"claim(Path({str(tmp_path / 'locked' / 'a')!r}), overwrite=False)"
    (tmp_path / "locked").mkdir(mode=0o555)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot write here (permission denied); save elsewhere" in done.stderr


def test_settings_survive_the_file(tmp_path):
    chosen = settings("xoài", minutes=1.5, epochs=None, losses=LossOptions("dynamic"))
    write_settings(tmp_path, chosen, "detector train")
    assert read_settings(tmp_path) == chosen


def test_settings_that_are_damaged(tmp_path):
    with pytest.raises(DetectorError, match=r"no args\.yaml in it"):
        read_settings(tmp_path)
    path = tmp_path / "args.yaml"
    for text, message in (
        ("recipe: {lrr: 1}", "unknown setting 'lrr'"),
        ("[1, 2]", "expected settings"),
        ("a: [", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(DetectorError, match=message):
            read_settings(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"card": Path("x"), "state_dict": print}, path)
    with pytest.raises(DetectorError, match="not a whole checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DetectorError, match="not a whole checkpoint"):
        load_checkpoint(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(DetectorError, match="not a checkpoint of ours"):
        load_checkpoint(path)


def test_how_long_a_run_is_by_default():
    assert plan.default_pictures(200) == 9051
    assert plan.clock(Settings(), Machine(), 200).steps == 566
    assert plan.clock(Settings(epochs=1.5, batch=8), Machine(), 10).steps == 2
    assert plan.clock(Settings(epochs=2, batch=8), Machine(devices=2), 64).steps == 8
    assert plan.clock(Settings(minutes=2), Machine(), 10).seconds == 120


def test_measuring_never_takes_more_than_a_tenth():
    assert plan.measurements(1000, 16, 40) == 10
    assert plan.measurements(60, 16, 40) == 4
    assert plan.measurements(60, 16, 5000) == 1
    assert plan.measurements(0, 16, 40) == 10


def test_when_batch_norms_are_frozen():
    assert plan.frozen_batch_norms(Settings(), 499)
    assert not plan.frozen_batch_norms(Settings(), 500)
    assert plan.frozen_batch_norms(Settings(batch=7), 5000)
    assert not plan.frozen_batch_norms(Settings(weights="none"), 10)
    assert plan.frozen_batch_norms(Settings(bn="frozen"), 5000)
    assert not plan.frozen_batch_norms(Settings(bn="trained"), 10)


def test_precision_follows_the_cpu(monkeypatch):
    monkeypatch.setattr(plan, "cpu_features", lambda: frozenset({"avx512_bf16", "sse"}))
    assert plan.precision(Settings()) == "bf16-mixed"
    assert plan.precision(Settings(precision="32")) == "32"
    assert plan.precision(Settings(size=256)) == "32"
    monkeypatch.setattr(plan, "cpu_features", lambda: frozenset({"sse"}))
    assert plan.precision(Settings()) == "32"


def test_processes_that_train_together_share_one_order():
    clock = Clock(steps=100)
    alone = Places(clock.progress, 8, start=3)
    parts = [iter(Places(clock.progress, 4, start=3, rank=r, world=2)) for r in (0, 1)]
    for whole, first, second in zip(alone, *parts, strict=False):
        assert whole == first + second
        if whole[0][0] > 60:
            break


def test_the_last_tenth_is_calm():
    calm = [
        places[0][1]
        for places, _ in zip(Places(Clock(steps=10).progress, 2), range(10), strict=False)
    ]
    assert calm == [False] * 9 + [True]


def test_a_sample_is_traced_to_its_picture(shapes):
    from detector.data.loading import Pictures

    chosen = settings(shapes)
    pictures = Pictures(run.load(chosen).train.examples, 96)
    feed = Feed(pictures, 96, seed=5, crops=0.0, zoom=0.0)
    for index in range(30):
        (_, truth), number = feed[index, True]
        example = feed.example(index)
        assert number == index
        width = (truth.xyxy[0, 2] - truth.xyxy[0, 0]) * 96  # a flip keeps it
        assert float(width) == pytest.approx(
            float(example.xyxy[0, 2] - example.xyxy[0, 0]), abs=0.1
        )


def test_the_judge_gives_full_marks_for_the_truth(shapes, tmp_path):
    from detector.detections import Detections

    val = run.load(settings(shapes)).val
    judge = Judge(val.examples, val.class_names, 96, tmp_path / "val.json")
    perfect = [
        Detections(e.xyxy / 96, np.ones(len(e.labels), np.float32), e.labels, val.class_names)
        for e in val.examples
    ]
    assert judge(perfect)["AP"] == pytest.approx(100)
    nothing = [Detections(d.xyxy[:0], d.scores[:0], d.labels[:0], val.class_names) for d in perfect]
    assert judge(nothing)["AP"] == 0
    assert judge.images.shape == (4, 3, 96, 96)


def test_truth_is_clipped_and_crowds_are_marked():
    boxes = np.array([[-5, 2, 30, 40], [50, 50, 50, 60], [0, 0, 10, 10]], np.float32)
    ignore = np.array([False, False, True])
    example = Example(Path("a.jpg"), boxes, np.array([0, 0, 0]), ignore, None, "")
    truth = coco_truth([example], [(20, 30)], ["cat"])
    assert [a["bbox"] for a in truth["annotations"]] == [[0, 2, 20, 28], [0, 0, 10, 10]]
    assert [a["iscrowd"] for a in truth["annotations"]] == [0, 1]
    assert json.dumps(truth)


def test_thinning_keeps_an_even_spread():
    assert thinned(list(range(5)), 9) == list(range(5))
    assert thinned(list(range(100)), 3) == [0, 49, 99]


def test_args_are_plain_yaml(tmp_path):
    write_settings(tmp_path, SMALL, "detector train --data x")
    text = (tmp_path / "args.yaml").read_text()
    assert text.startswith("# detector train --data x\n")
    assert yaml.safe_load(text)["recipe"]["optimiser"] == "adamw"
