"""What processes that train together tell each other: sums, decisions, findings, weights."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from detector.cpu import usable_cores
from detector.detections import Detections
from detector.errors import DetectorError
from detector.training.launch import LostError, is_first, rank
from detector.training.options import Machine

TIMEOUT = timedelta(minutes=10)  # without a word from the others; measuring takes less
T = TypeVar("T")
Found = Sequence[Detections]


@contextlib.contextmanager
def together(machine: Machine) -> Iterator[None]:
    """For this block, belong to the processes that train together and share this machine's cores.

    A process on its own just runs it. Raises DetectorError when the others cannot be reached, and
    LostError when they go away.
    """
    if machine.world == 1:
        yield
        return
    given = os.environ.get("OMP_NUM_THREADS")
    # torchrun itself sets 1 where nobody gave a number
    share_cores = given is None or (given == "1" and "TORCHELASTIC_RUN_ID" in os.environ)
    if share_cores:
        torch.set_num_threads(max(1, usable_cores() // machine.devices))
    try:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise DetectorError(
            f"the {machine.world} processes cannot reach each other through "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} "
            f"({str(error).splitlines()[0]}); start all of them within ten minutes, with the same "
            "--master-addr and a free --master-port"
        ) from error
    try:
        with _noticing_losses():
            yield
            dist.barrier()  # nobody hangs up while others still talk
    finally:
        dist.destroy_process_group()
        if share_cores:  # what is left to do the first process does alone
            torch.set_num_threads(usable_cores())


@contextlib.contextmanager
def _noticing_losses() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise LostError(
            "lost the other processes that train with this one (killed, or the network is down?); "
            "see what they say, then go on with --resume"
        ) from error


@dataclass(frozen=True)
class Peers:
    """Those that share each step's losses. world: how many they are; 1: each on its own."""

    world: int = 1

    def sum(self, value: Tensor) -> Tensor:
        """The sum of everybody's `value`, without gradient."""
        total = value.detach()
        if self.world > 1:
            total = total.clone()
            dist.all_reduce(total)
        return total

    def mean(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Everybody's mean of each of some scalars, without gradient."""
        means = self.sum(torch.stack(list(values.values()))) / self.world
        return dict(zip(values, means, strict=True))


ALONE = Peers()


def from_first(value: T) -> T:
    """The first process's `value`, for all."""
    held = [value]
    dist.broadcast_object_list(held)
    return held[0]


def wait() -> None:
    """Until all have come this far."""
    if dist.is_initialized():
        dist.barrier()


def agree(facts: Mapping[str, object]) -> None:
    """Raise DetectorError, in all processes, unless all bring the same facts."""
    if not dist.is_initialized():
        return
    world = dist.get_world_size()
    brought: list[Mapping[str, object]] = [{}] * world
    dist.all_gather_object(brought, dict(facts))
    for number, theirs in enumerate(brought):
        for name, first in brought[0].items():
            if theirs[name] != first:
                raise DetectorError(
                    f"process {number} of {world} comes with {name} {theirs[name]}, the first with "
                    f"{first}; every machine needs the same options, data and run folder"
                )


def own_share(count: int, number: int, world: int) -> list[int]:
    """Which of `count` things process `number` of `world` does; all do equally many.

    Where the things do not go round some are done twice, so that nobody is left with none.
    """
    return [i % count for i in range(number, math.ceil(count / world) * world, world)]


def shard(count: int) -> list[int]:
    """This process's `own_share` of `count` things; all of them where it is on its own."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    return own_share(count, rank(), world)


def in_order(parts: Sequence[Found], count: int) -> list[Detections]:
    """What processes found in their `own_share` of `count` pictures, in the pictures' order."""
    return [parts[i % len(parts)][i // len(parts)] for i in range(count)]


def judged_by_first(
    judge: Callable[[Found], dict[str, float]], count: int
) -> Callable[[Found], dict[str, float]]:
    """`judge` for `own_share`s of `count` pictures: the first process judges all of them, once.

    All get its figures, so that they decide alike even where machines round differently.
    """

    def figures(found: Found) -> dict[str, float]:
        if not dist.is_initialized():
            return judge(found)
        parts: list[Found] | None = [[]] * dist.get_world_size() if is_first() else None
        dist.gather_object(list(found), parts)
        return from_first({} if parts is None else judge(in_order(parts, count)))

    return figures


def strategy() -> DDPStrategy:
    """Lightning's, for processes that are already `together`.

    Buffers are `Averaging`'s: DDP would have all take the first process's batch norm statistics,
    which come from its own pictures alone.
    """
    return DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),
        process_group_backend="gloo",
        broadcast_buffers=False,
        timeout=TIMEOUT,
    )
