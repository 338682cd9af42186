"""Train in two processes, without the files a run leaves: python train_together.py SPEC.json.

SPEC: {"settings": {...}, "folder": "...", "fault": ""}. The first process writes FOLDER.json: after
each step how far the processes' weights are apart, and how many messages the step took. fault:
"raise" or "kill" at step 5 of the second process.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from detector.errors import DetectorError
from detector.training import launch, run
from detector.training.averaging import Averaging
from detector.training.distributed import together
from detector.training.options import Machine, Recipe, Settings

FAULTS = {"raise": DetectorError("the second process gives up"), "kill": signal.SIGKILL}


class Watched(Averaging):
    """`Averaging` that writes down what it did."""

    def __init__(self, every, fault, place):
        super().__init__(every)
        self.fault, self.place = fault, place
        self.rows, self.messages = [], 0

    def after_step(self, trainer, losses):
        super().after_step(trainer, losses)
        messages = count_messages() - self.messages
        weights = torch.cat([p.detach().flatten() for p in trainer.lightning_module.parameters()])
        alike = [torch.empty_like(weights) for _ in range(dist.get_world_size())]
        dist.all_gather(alike, weights)
        self.rows.append([trainer.global_step, float((alike[0] - alike[1]).abs().max()), messages])
        if launch.is_first():
            self.place.write_text(json.dumps(self.rows))
        elif self.fault and trainer.global_step == 5:
            give_up(FAULTS[self.fault])
        self.messages = count_messages()


def count_messages():
    """Collective operations so far, gradients' too."""
    return dist.group.WORLD._get_sequence_number_for_group()


def give_up(how):
    if isinstance(how, DetectorError):
        raise how
    os.kill(os.getpid(), how)


def work(spec):
    machine = launch.settle(Machine(workers=0, devices=2, save_seconds=0))
    told = dict(spec["settings"])
    settings = Settings(**{**told, "recipe": Recipe(**told.pop("recipe", {}))})
    folder = Path(spec["folder"])
    place = folder.with_suffix(".json")
    run.Averaging = partial(Watched, fault=spec.get("fault"), place=place)
    with together(machine):
        run.train(settings, machine, folder, run.load(settings))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(launch.start(partial(work, json.loads(Path(sys.argv[1]).read_text())), 2))
    except DetectorError as error:
        sys.exit(f"error: {error}")
