"""A run from the first picture read to the last step."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from detector.data.example import Dataset
from detector.data.load import load_splits, open_card
from detector.data.loading import Pictures
from detector.errors import DetectorError
from detector.model.checkpoint import ModelCard
from detector.training import plan
from detector.training.atomic import AtomicIO
from detector.training.blame import describe
from detector.training.callbacks import LAST, Keep, Pace, moving_average, same_classes
from detector.training.feed import Feed, Places, constant, make_loader, stuck
from detector.training.history import History
from detector.training.judge import Judge
from detector.training.module import Training
from detector.training.objective import Objective
from detector.training.options import Machine, Settings
from detector.training.progress import ProgressLine
from detector.training.recipe import Clock
from detector.training.start import Start, card_from, first_network, load_checkpoint

TENSORBOARD = "tensorboard"
JUDGED = ".val.json"  # the truth as measured during the run
# What torch and the system say when memory is short, in parts.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad alloc")


def say(line: str) -> None:
    """One line of news for a person; stdout keeps the results."""
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
    problems = list(dict.fromkeys([*train.problems, *val.problems]))
    if problems:
        say(f"{len(problems)} problems in the data, such as {problems[0]} (`detector check`)")
    boxes = train.class_counts().sum()
    say(
        f"{len(train.examples)} training pictures with {boxes} boxes, {len(val.examples)} to "
        f"judge by; {len(train.class_names)} classes: {', '.join(train.class_names[:10])}"
        + (", ..." if len(train.class_names) > 10 else "")
    )
    return Data(open_card(settings.data).name, train, val)


def train(settings: Settings, machine: Machine, folder: Path, data: Data) -> Pace:
    """Train in `folder`, going on from its last.ckpt where there is one; returns how it went.

    Raises DetectorError for settings, data or weights that make no sense, for a loss beyond it,
    for a full disk and for too little memory.
    """
    plan.check(settings, machine)
    names = data.train.class_names
    resumed = load_checkpoint(folder / LAST) if (folder / LAST).exists() else None
    if resumed is not None:
        theirs = card_from(resumed["card"]).class_names
        if problem := same_classes(folder / LAST, theirs, names):
            raise DetectorError(f"{problem}; --resume needs the same, so start a new run instead")
    torch.manual_seed(settings.seed)
    with short_memory(settings):
        pictures = Pictures(data.train.examples, settings.size)
        start = first_network(settings, names, data.name, None if resumed else pictures)
        judge = Judge(data.val.examples, names, settings.size, folder / JUDGED)
    _say_failed([*(why for _, why in pictures.failed), *judge.failed], pictures.dropped_boxes)
    if start.kin:
        pairs = [f"{new} from {known}" for new, known in start.kin.items()]
        say(
            f"classes learned from known ones: {', '.join(pairs[:10])}"
            + ", ..." * (len(pairs) > 10)
        )
    clock = plan.clock(settings, machine, len(pictures))
    times = plan.measurements(clock.steps, settings.batch, len(judge.sizes_wh))
    pace = Pace(clock, times, settings.patience)
    step = int(resumed["global_step"]) if resumed else 0
    if resumed and resumed["callbacks"]["Pace"]["finished"]:
        pace.load_state_dict(dict(resumed["callbacks"]["Pace"]))
        say(f"{folder}: training was over at step {step}; writing its files")
        return pace
    feed = Feed(pictures, settings.size, settings.seed, crops=settings.crops, zoom=settings.zoom)
    training = _module(settings, start, clock, judge, feed)
    trainer = _trainer(settings, machine, folder, start.card, pace)
    places = Places(clock.progress, settings.batch, start=step, **_share(trainer))
    loader = make_loader(feed, places, plan.workers(machine))
    with short_memory(settings), quiet(), interruptible():
        trainer.fit(
            training,
            loader,
            constant(judge.images, settings.batch),
            ckpt_path=folder / LAST if resumed else None,
        )
    return pace


def _module(settings: Settings, start: Start, clock: Clock, judge: Judge, feed: Feed) -> Training:
    names = start.card.class_names
    frozen = plan.frozen_batch_norms(settings, len(feed.pictures), whole=start.whole)
    return Training(
        start.model,
        names,
        Objective(**asdict(settings.losses)),
        settings.recipe,
        clock,
        fresh=start.fresh,
        side=settings.size,
        frozen_bn=frozen,
        judge=judge,
        explain=lambda number: describe(feed.example(number), names),
    )


def _trainer(
    settings: Settings, machine: Machine, folder: Path, card: ModelCard, pace: Pace
) -> L.Trainer:
    """Lightning's trainer; the order of callbacks matters: the average first, files last."""
    world = machine.devices * machine.num_nodes
    average = [moving_average(settings.recipe.ema)] if settings.recipe.ema else []
    keep = Keep(folder, card, pace, machine.save_seconds)
    shown = [ProgressLine(pace, settings.batch * world)] if is_first() else []
    written = [History(folder, pace)] if is_first() else []
    with quiet():
        return L.Trainer(
            accelerator="cpu",
            devices=machine.devices,
            num_nodes=machine.num_nodes,
            strategy="ddp" if world > 1 else "auto",
            precision=plan.precision(settings),  # type: ignore[arg-type]
            plugins=[AtomicIO()],
            callbacks=[*average, pace, *shown, *written, keep],
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


def _share(trainer: L.Trainer) -> dict[str, int]:
    return {"rank": trainer.global_rank, "world": trainer.world_size}


def is_first() -> bool:
    """Whether this process is the one that writes and talks, of those that train together."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _say_failed(failed: list[str], dropped: int) -> None:
    if failed:
        say(f"{len(failed)} pictures cannot be read and are left out; the first: {failed[0]}")
    if dropped:
        say(f"{dropped} boxes have no area inside their picture and are left out")


@contextlib.contextmanager
def short_memory(settings: Settings) -> Iterator[None]:
    """Say which batch or workers to use when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, RuntimeError) and stuck(error):
            raise DetectorError(
                "a process that prepares pictures hangs or was killed (out of memory?); use "
                "--workers 0, or fewer"
            ) from error
        if not isinstance(error, MemoryError) and not any(part in text for part in NO_MEMORY):
            raise
        smaller = max(1, settings.batch // 2)
        hint = f"use --batch {smaller}" if smaller < settings.batch else "use a smaller --size"
        raise DetectorError(
            f"out of memory with --batch {settings.batch} at {settings.size} px; {hint}"
        ) from error


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C as Ctrl-C: Lightning turns it into an exit with code 1."""
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error


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
