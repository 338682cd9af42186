"""What a run works out for itself: how long, on how many processes, in which precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from detector.cpu import cpu_features, usable_cores
from detector.errors import DetectorError
from detector.training.options import Machine, Settings
from detector.training.recipe import Clock

PICTURES_PER_ROOT = 640  # see default_pictures
FEW_PICTURES, SMALL_BATCH = 500, 8  # below either, batch norms' statistics stay as they are
MEASUREMENTS = 10  # of AP, a run
MEASURING_SHARE = 0.1  # of the run's time, at most
MEASURING_COST = 0.5  # of a picture, against learning from one: forward only, then NMS
MAX_WORKERS = 8
SIZES = (96, 640)
MAX_SEED = 2**32
BF16 = frozenset({"avx512_bf16", "amx_bf16"})


def check(settings: Settings, machine: Machine) -> None:
    """Raise DetectorError for numbers that make no sense, naming the option."""
    low, high = SIZES
    if settings.size and not low <= settings.size <= high:  # 0: not chosen yet
        raise DetectorError(f"--size {settings.size}: expected {low} to {high} pixels")
    if settings.epochs is not None and settings.minutes is not None:
        raise DetectorError("--epochs and --minutes: give one of them")
    if settings.sync_every > 1 and machine.world == 1:
        raise DetectorError(f"--sync-every {settings.sync_every}: give --devices, or leave it out")
    check_norms(settings, whole=True)  # as far as can be told without the weights
    if machine.workers < -1:
        raise DetectorError(
            f"--workers {machine.workers}: expected 0 or more, or -1 for the default"
        )
    if not 0 <= settings.seed < MAX_SEED:
        raise DetectorError(f"--seed {settings.seed}: expected 0 to {MAX_SEED - 1}")
    _check_ranges(settings, machine)


def check_norms(settings: Settings, *, whole: bool) -> None:
    """Raise DetectorError where batch norms would have to learn from one picture a step.

    whole: see `frozen_batch_norms`.
    """
    new = settings.weights in ("none", "imagenet") or settings.head != "own"
    if settings.batch == 1 and (new or not frozen_batch_norms(settings, 0, whole=whole)):
        raise DetectorError("--batch 1: batch norms cannot learn from one picture; use 2 or more")


def _check_ranges(settings: Settings, machine: Machine) -> None:
    losses, recipe = settings.losses, settings.recipe
    positive = {
        "--epochs": settings.epochs,
        "--minutes": settings.minutes,
        "--batch": settings.batch,
        "--width": settings.width,
        "--lr": recipe.lr,
        "--head-lr": recipe.head_lr,
        "--clip": recipe.clip,
        "--devices": machine.devices,
        "--num-nodes": machine.num_nodes,
        "--sync-every": settings.sync_every,
    }
    _refuse(positive, lambda value: 0 < value < math.inf, "more than 0")
    not_negative = {
        "--weight-decay": recipe.weight_decay,
        "--box-weight": losses.box_weight,
        "--patience": settings.patience,
        "--save-seconds": machine.save_seconds,
    }
    _refuse(not_negative, lambda value: 0 <= value < math.inf, "0 or more")
    shares = {
        "--warmup": recipe.warmup,
        "--ema": recipe.ema,
        "--crops": settings.crops,
        "--zoom": settings.zoom,
        "--colours": settings.colours,
        "--flips": settings.flips,
        "--mosaic": settings.mosaic,
        "--vote": settings.vote,
        "--positive": losses.positive,
        "--negative": losses.negative,
    }
    _refuse(shares, lambda value: 0 <= value <= 1, "0 to 1")


def _refuse(
    values: Mapping[str, float | None], fits: Callable[[float], bool], expected: str
) -> None:
    """Raise DetectorError for the first option whose value does not fit; None always does."""
    for option, value in values.items():
        if value is not None and not fits(value):
            raise DetectorError(f"{option} {value}: expected {expected}")


def default_pictures(count: int) -> int:
    """Pictures to see in all, for a set of `count`: 640 times the square root, each repeat counted.

    Ten times the pictures need more learning, but not ten times as much: 50 are seen 90 times,
    200 45 times, 5,000 9 times.
    """
    return round(PICTURES_PER_ROOT * math.sqrt(count))


def clock(settings: Settings, machine: Machine, count: int) -> Clock:
    """How long a run on `count` training pictures lasts; it ends where weights are averaged."""
    if settings.minutes is not None:
        return Clock(seconds=settings.minutes * 60)
    seen = default_pictures(count) if settings.epochs is None else settings.epochs * count
    rounds = math.ceil(seen / (settings.batch * machine.world * settings.sync_every))
    return Clock(rounds * settings.sync_every)


def measurements(steps: int, batch: int, val_count: int) -> int:
    """How often AP is measured in a run of `steps`: MEASUREMENTS, fewer where that costs too much.

    By the clock alone (steps = 0) MEASUREMENTS, and the clock refuses some.
    """
    if not steps:
        return MEASUREMENTS
    affordable = MEASURING_SHARE * steps * batch / (MEASURING_COST * val_count)
    return max(1, min(MEASUREMENTS, int(affordable), steps))


def frozen_batch_norms(settings: Settings, count: int, *, whole: bool) -> bool:
    """Whether batch norms keep their statistics.

    whole: whether those of the backbone hold; random weights have none to keep, and what a narrower
    network computes differs from what was measured.
    """
    if settings.bn == "auto":
        return whole and (count < FEW_PICTURES or settings.batch < SMALL_BATCH)
    return settings.bn == "frozen"


def precision(settings: Settings) -> str:
    """Lightning's name of the arithmetic to use."""
    if settings.precision != "auto":
        return settings.precision
    return "bf16-mixed" if cpu_features() & BF16 else "32"


def workers(machine: Machine) -> int:
    """Processes that prepare pictures, for each process that trains."""
    if machine.workers >= 0:
        return machine.workers
    cores = usable_cores()
    return 0 if cores == 1 else min(MAX_WORKERS, max(1, cores // 2 // machine.devices))
