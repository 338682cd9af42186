"""A run from the first picture read to the last step."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from detector.data.account import account, counted, listed, shown_at_most
from detector.data.example import Dataset
from detector.data.load import load_splits, open_card
from detector.data.loading import Pictures
from detector.errors import DetectorError
from detector.metadata import TOP_K
from detector.training import distributed, plan
from detector.training.atomic import AtomicIO
from detector.training.averaging import Averaging
from detector.training.blame import describe
from detector.training.callbacks import BEST, LAST, Keep, MovingAverage, Pace, same_classes
from detector.training.distributed import ALONE, Peers
from detector.training.feed import VIEWS, Feed, Places, constant, make_loader
from detector.training.history import History
from detector.training.judge import Judge
from detector.training.launch import is_first, rank
from detector.training.mishaps import short_memory
from detector.training.module import Training
from detector.training.objective import Objective
from detector.training.options import Machine, Settings
from detector.training.progress import ProgressLine
from detector.training.recipe import Clock
from detector.training.settle import settle
from detector.training.start import (
    Start,
    batch_norms,
    card_from,
    first_network,
    load_checkpoint,
    resumed_network,
)

TENSORBOARD = "tensorboard"


def say(line: str) -> None:
    """One line of news for a person, told once however many train; stdout keeps the results."""
    if is_first():
        print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Data:
    """The splits of a run. name: what they are called."""

    name: str
    train: Dataset
    val: Dataset


def load(settings: Settings) -> Data:
    """Train and val of the settings' data; what is odd about them is said, with counts."""
    if not settings.data:
        raise DetectorError("train: no --data; expected a data card (.yaml) or a folder")
    splits = load_splits(settings.data)
    train, val = splits["train"], splits["val"]
    for line in account(train, val):
        say(line)
    if (most := shown_at_most(train)) > TOP_K:
        say(f"the model will show up to {most} objects of a picture (--top-k)")
    return Data(open_card(settings.data).name, train, val)


def settled(settings: Settings, data: Data) -> Settings:
    """The settings with nothing left open; it is said why where that is not plain."""
    chosen, lines = settle(settings, data.train)
    for line in lines:
        say(line)
    return chosen


def try_start(settings: Settings, data: Data, folder: Path) -> None:
    """Raise DetectorError where a run could not begin, before it replaces the one in `folder`."""
    weights = Path(settings.weights)
    if weights.exists() and weights.resolve().is_relative_to(folder.resolve()):
        raise DetectorError(
            f"--weights {weights}: lies in the run that --overwrite would replace; choose another "
            "--name"
        )
    start = first_network(settings, data.train.class_names, data.name, None)
    plan.check_norms(settings, whole=start.whole)


def train(settings: Settings, machine: Machine, folder: Path, data: Data) -> Pace:
    """Train in `folder`, going on from its last.ckpt where there is one; returns how it went.

    Raises DetectorError for settings, data or weights that make no sense, for a loss beyond it,
    for a full disk and for too little memory. With machine.world > 1 it runs in each of so many
    processes that are `together`.
    """
    settings = settled(settings, data)
    plan.check(settings, machine)
    names = data.train.class_names
    resumed = _resumed(folder, names, machine.world)
    torch.manual_seed(settings.seed)
    with short_memory(settings, folder):
        pictures = Pictures(data.train.examples, settings.size)
        if resumed:
            start = resumed_network(resumed)
        else:
            start = first_network(settings, names, data.name, pictures)
        most = shown_at_most(data.train)
        start = replace(start, card=replace(start.card, top_k=most, vote=settings.vote))
        plan.check_norms(settings, whole=start.whole)
        judge = Judge(data.val.examples, names, settings.size)
    _say_failed([*(why for _, why in pictures.failed), *judge.failed], pictures.dropped_boxes)
    _say_start(start)
    step = int(resumed["global_step"]) if resumed else 0
    _agree(settings, names, step, len(pictures), len(judge.images))
    pace = _pace(settings, machine, len(pictures), len(judge.images))
    if resumed and resumed["callbacks"]["Pace"]["finished"]:
        pace.load_state_dict(dict(resumed["callbacks"]["Pace"]))
        _say_over(folder, step)
        return pace
    views = {name: getattr(settings, name) for name in VIEWS}
    feed = Feed(pictures, settings.size, settings.seed, **views)
    training = _module(settings, machine, start, pace.clock, judge, feed)
    trainer = _trainer(settings, machine, folder, start, pace)
    shared = {"rank": rank(), "world": machine.world}
    places = Places(pace.clock.progress, settings.batch, start=step, **shared)
    loader = make_loader(feed, places, plan.workers(machine))
    mine = distributed.shard(len(judge.images))
    judged = constant([judge.images[i] for i in mine], settings.batch)
    say(f"if this is stopped, go on with --resume {folder}")
    with short_memory(settings, folder), quiet():
        trainer.fit(training, loader, judged, ckpt_path=folder / LAST if resumed else None)
    _say_end(pace)
    return pace


def _pace(settings: Settings, machine: Machine, train: int, val: int) -> Pace:
    """How a run on so many pictures goes by."""
    clock = plan.clock(settings, machine, train)
    clock.told = distributed.from_first if machine.world > 1 else None
    times = plan.measurements(clock.steps, settings.batch * machine.world, val)
    return Pace(clock, times, settings.patience, settings.sync_every)


def _say_start(start: Start) -> None:
    if start.advice:
        say(start.advice)
    if start.kin:
        pairs = [f"{new} from {known}" for new, known in start.kin.items()]
        say(f"classes learned from known ones: {listed(pairs)}")


def _say_over(folder: Path, step: int) -> None:
    say(
        f"{folder}: training was over at step {step}; writing its files (to learn more, start a "
        f"new run with --weights {folder / BEST})"
    )


def _say_end(pace: Pace) -> None:
    if pace.patience and pace.stale >= pace.patience:
        say(
            f"AP got no better in {pace.stale} measurements, so the run is over (--patience); the "
            f"best, {pace.best:.1f}, was at step {pace.best_step}"
        )


def _resumed(folder: Path, names: tuple[str, ...], world: int) -> dict[str, Any] | None:
    """last.ckpt of a run that was begun, if it can go on with these classes and processes."""
    if not (folder / LAST).exists():
        return None
    loaded = load_checkpoint(folder / LAST)
    if problem := same_classes(folder / LAST, card_from(loaded["card"]).class_names, names):
        raise DetectorError(f"{problem}; --resume needs the same, so start a new run instead")
    if "fresh" not in loaded:
        raise DetectorError(
            f"{folder}: was begun by an older version; start a new run with "
            f"--weights {folder / BEST}"
        )
    theirs = loaded["world"]
    if theirs != world and not loaded["callbacks"]["Pace"]["finished"]:
        raise DetectorError(
            f"{folder}: was begun by {theirs} processes and would see other pictures with {world}; "
            f"give --devices {theirs} (or as many over several machines), or start a new run with "
            f"--weights {folder / BEST}"
        )
    return loaded


def _agree(settings: Settings, names: tuple[str, ...], step: int, train: int, val: int) -> None:
    """Refuse to train together with processes that have another task."""
    distributed.agree(
        {
            **{f"--{name.replace('_', '-')}": v for name, v in asdict(settings).items()},
            "--data": "",  # each machine has its own paths
            "classes": names,
            "training pictures": train,
            "val pictures": val,
            "last step": step,
        }
    )


def _module(
    settings: Settings, machine: Machine, start: Start, clock: Clock, judge: Judge, feed: Feed
) -> Training:
    held: list[nn.BatchNorm2d] = []
    if plan.frozen_batch_norms(settings, len(feed.pictures), whole=start.whole):
        # Layers that start from nothing have statistics to learn, unless told not to.
        held = batch_norms(start.model, () if settings.bn == "frozen" else start.fresh)
    return Training(
        start.model,
        start.card,
        Objective(**asdict(settings.losses)),
        settings.recipe,
        clock,
        fresh=start.fresh,
        side=settings.size,
        held=held,
        judge=distributed.judged_by_first(judge, len(judge.images)),
        explain=lambda number: describe(feed.example(number), start.card.class_names),
        peers=Peers(machine.world) if settings.sync_every == 1 else ALONE,
    )


def _trainer(
    settings: Settings, machine: Machine, folder: Path, start: Start, pace: Pace
) -> L.Trainer:
    """Lightning's trainer; the order of callbacks matters: the averages first, files last."""
    every, many = settings.sync_every, machine.world > 1
    common = [Averaging(every)] if many else []
    average = [MovingAverage(settings.recipe.ema, every)] if settings.recipe.ema else []
    keep = Keep(folder, start, pace, machine.save_seconds)
    shown = [ProgressLine(pace, settings.batch * machine.world)] if is_first() else []
    written = [History(folder, pace)] if is_first() else []
    with quiet():
        return L.Trainer(
            accelerator="cpu",
            devices=machine.devices,
            num_nodes=machine.num_nodes,
            strategy=distributed.strategy() if many else "auto",
            precision=plan.precision(settings),  # type: ignore[arg-type]
            plugins=[AtomicIO()],
            callbacks=[*common, *average, pace, *shown, *written, keep],
            logger=_tensorboard(folder),
            max_epochs=1,  # the feed never ends: Pace says when to stop
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=folder,
        )


def _tensorboard(folder: Path) -> Any:
    """A TensorBoard logger, or False where tensorboard is not installed."""
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name=TENSORBOARD, version="")
    except ModuleNotFoundError:
        say("no TensorBoard log: tensorboard is not installed")
        return False


def _say_failed(failed: list[str], dropped: int) -> None:
    if failed:
        say(f"{counted(len(failed), 'picture')} cannot be used, left out; the first: {failed[0]}")
    if dropped:
        say(f"{counted(dropped, 'box')} without area in their picture, left out")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No tips and warnings of Lightning's, which are about its own insides."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
