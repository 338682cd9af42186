"""Processes that train together: started here or by torchrun, and ended together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from detector.errors import DetectorError
from detector.training.options import Machine

if TYPE_CHECKING:
    from torch.multiprocessing.spawn import ProcessExitedException

# What torchrun tells each process it starts, and what `start` tells in the same way.
VARIABLES = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
HERE = "127.0.0.1"
GRACE = 5.0  # seconds that processes have to end by themselves once one has failed


class LostError(DetectorError):
    """The others that trained with this process are gone; the cause is theirs to tell."""


def launched() -> bool:
    """Whether this process is one of those that torchrun or `start` started."""
    return all(name in os.environ for name in VARIABLES)


def rank() -> int:
    """The number of this process, from 0, among all that train together."""
    return int(os.environ["RANK"]) if launched() else 0


def is_first() -> bool:
    """Whether this process is the one that writes and talks, of those that train together."""
    return rank() == 0


def settle(machine: Machine) -> Machine:
    """How many processes there really are: under torchrun it is torchrun that decides.

    Raises DetectorError where options say otherwise, and for several machines without torchrun.
    """
    if not launched():
        if machine.num_nodes > 1:
            raise DetectorError(
                f"--num-nodes {machine.num_nodes}: start it on each machine with torchrun "
                f"--nnodes {machine.num_nodes} --node-rank 0 (then 1, ...) --master-addr FIRST "
                f"--master-port 29500 --nproc-per-node {machine.devices} train.py ..."
            )
        return machine
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if world % local:
        raise DetectorError(
            f"torchrun started {local} processes here and {world} in all; use the same "
            "--nproc-per-node on every machine"
        )
    for option, given, told in (
        ("--devices", machine.devices, local),
        ("--num-nodes", machine.num_nodes, world // local),
    ):
        if given not in (1, told):
            raise DetectorError(f"{option} {given}: torchrun started {told}; leave the option out")
    return replace(machine, devices=local, num_nodes=world // local)


def start(work: Callable[[], int], count: int) -> int:
    """Run `work` in `count` new processes on this machine, which know of each other; 0 when done.

    work: must survive pickling. When one fails the others are ended, and the first reason given is
    raised as DetectorError; Ctrl-C ends all of them. On Linux they end, too, when this process is
    killed.
    """
    from torch.multiprocessing.spawn import ProcessExitedException, start_processes

    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    # Class names may hold what a terminal cannot show: as in `cli.main`, but for new processes.
    os.environ.setdefault("PYTHONIOENCODING", ":backslashreplace")
    reasons = multiprocessing.get_context("spawn").SimpleQueue()
    told = (work, count, _free_port(), reasons)
    context = start_processes(_take_part, told, count, join=False)  # type: ignore[no-untyped-call]
    try:
        while not context.join(grace_period=GRACE):
            pass
    except ProcessExitedException as error:
        raise DetectorError(_why(error, count, reasons)) from error
    finally:
        for process in context.processes:
            process.join(GRACE)  # after Ctrl-C, which the terminal has sent to them as well
            process.kill()
    return 0


def _take_part(index: int, work: Callable[[], int], count: int, port: int, reasons: Any) -> None:
    """Be process `index`; the reason for giving up is put into `reasons`."""
    values = (index, index, 0, count, count, HERE, port)
    os.environ.update({name: str(value) for name, value in zip(VARIABLES, values, strict=True)})
    try:
        code = work()
    except (DetectorError, OSError) as error:
        reasons.put((str(error), isinstance(error, LostError)))
        code = 2
    sys.exit(code)


def _why(error: ProcessExitedException, count: int, reasons: Any) -> str:
    """One line: what a process said itself, before what others said who lost it."""
    heard: list[tuple[str, bool]] = []
    while not reasons.empty():
        heard.append(reasons.get())
    if own := [reason for reason, lost in heard if not lost]:
        return own[0]
    which = f"process {error.error_index} of the {count} that train together"
    if error.signal_name:
        return (
            f"{which} was killed ({error.signal_name}; out of memory?), so all have ended; go on "
            "with --resume, or use a smaller --batch"
        )
    return heard[0][0] if heard else f"{which} ended with code {error.exit_code}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
    return port
