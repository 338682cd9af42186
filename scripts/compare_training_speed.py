"""Training steps a second beside torchvision's SSDLite, as a Markdown table.

python scripts/compare_training_speed.py --data ../shared/data/raccoon

Both learn all layers from the same pictures with a loader of as many workers. Ours is what
`detector train` does in a step but for Lightning's bookkeeping: forward, matching, losses,
backward, clipping, AdamW, moving average. torchvision's is what its reference script does: pictures
read with PIL each time, RandomIoUCrop and a flip, SGD; the model scales them to 320 px. Each
measurement is a process of its own, since what `detector train` tells the allocator holds for a
whole process; one step goes before those that count. Rounds are taken in turn, so that a busy
machine is as busy for all; a loader alone pays for its start.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import tyro
from PIL import Image
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.transforms import v2

from detector.benchmark.machine import machine_line, this_machine
from detector.data.example import Dataset, Example
from detector.data.load import load_splits
from detector.data.loading import Pictures
from detector.training import plan, process
from detector.training.feed import AHEAD, Feed, Places, make_loader
from detector.training.module import Training
from detector.training.objective import Objective
from detector.training.options import Machine, Precision, Settings
from detector.training.recipe import Clock, ema_step
from detector.training.start import batch_norms, first_network

OURS = Settings(size=300)
Step = Callable[[Any], None]


@dataclass(frozen=True)
class Contender:
    """Who trains, and how; without `learns` its loader alone is timed.

    held: batch norms keep their statistics, our default below 500 pictures. kept: memory that was
    freed is kept for the next step, as `detector train` asks of the allocator.
    """

    ours: bool
    bfloat16: bool = False
    held: bool = False
    kept: bool = True
    learns: bool = True


CONTENDERS = {
    "ours, bfloat16, held": Contender(True, bfloat16=True, held=True),
    "ours, bfloat16": Contender(True, bfloat16=True),
    "ours, float32, held": Contender(True, held=True),
    "ours, float32": Contender(True),
    "torchvision, float32": Contender(False, kept=False),
    "torchvision, float32, memory kept": Contender(False),
    "torchvision, bfloat16, channels_last, memory kept": Contender(False, bfloat16=True),
    "our loader alone": Contender(True, kept=False, learns=False),
    "torchvision's loader alone": Contender(False, kept=False, learns=False),
}


@dataclass(frozen=True)
class Options:
    """Compare the speed of training with torchvision's."""

    data: str = "../shared/data/raccoon"
    """A data card, a folder of labelled pictures, a COCO json or a CSV."""
    batch: int = 16
    steps: int = 6
    """Steps of each contender in a round."""
    rounds: int = 5
    workers: int = plan.workers(Machine())
    """Processes that prepare pictures, for each of them."""


def main(options: Options) -> None:
    """Print the table."""
    process.prepare()  # how threads wait: new processes inherit it
    bfloat16 = plan.precision(OURS) != "32"
    contenders = {name: c for name, c in CONTENDERS.items() if bfloat16 or not c.bfloat16}
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        rounds.append({name: apart(c, options) for name, c in contenders.items()})
        print(f"round {number + 1} of {options.rounds} is over", file=sys.stderr, flush=True)
    print(f"{machine_line(this_machine())}, torchvision {torchvision.__version__}; ", end="")
    print(f"{torch.get_num_threads()} threads, {options.workers} workers, batch {options.batch}\n")
    print_table(rounds, [name for name, c in contenders.items() if c.learns and not c.ours])


def apart(contender: Contender, options: Options) -> float:
    """`speed` in a new process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(speed, contender, options).result()


def speed(contender: Contender, options: Options) -> float:
    """Pictures a second, from a new loader."""
    if contender.kept:
        process.prepare()
    data = load_splits(options.data)["train"]
    batches = our_batches(data, options) if contender.ours else their_batches(data, options)
    step = step_of(contender, data) if contender.learns else lambda batch: None
    warm = 1 if contender.learns else 0  # a first step makes what is made once
    start = time.monotonic()
    for count, batch in enumerate(batches(warm + options.steps), 1):
        step(batch)
        if count == warm:
            start = time.monotonic()
    return options.steps * options.batch / (time.monotonic() - start)


def step_of(contender: Contender, data: Dataset) -> Step:
    """How it learns from a batch."""
    if contender.ours:
        precision: Precision = "bf16-mixed" if contender.bfloat16 else "32"
        return our_step(data, precision, held=contender.held)
    return their_step(data, best=contender.bfloat16)


def print_table(rounds: list[dict[str, float]], against: list[str]) -> None:
    """Medians of the rounds, and medians of each round's ratios."""
    ratios = " | ".join(f"of {name}" for name in against)
    print(f"| pictures/s | median | slowest to fastest round | {ratios} |")
    print("|---" * (3 + len(against)) + "|")
    for name in rounds[0]:
        speeds = [figures[name] for figures in rounds]
        cells = [f"{np.median(speeds):.1f}", f"{min(speeds):.1f} to {max(speeds):.1f}"]
        for other in against:
            ratio = np.median([figures[name] / figures[other] for figures in rounds])
            cells.append(f"{ratio:.2f}")
        print(f"| {name} | {' | '.join(cells)} |")


def our_batches(data: Dataset, options: Options) -> Callable[[int], Iterable[Any]]:
    """Batches as `detector train` loads them."""
    feed = Feed(Pictures(data.examples, OURS.size), OURS.size, 0, crops=0.8, zoom=0.2)

    def batches(steps: int) -> Iterable[Any]:
        places = itertools.islice(Places(Clock(steps=10**6).progress, options.batch), steps)
        return make_loader(feed, list(places), options.workers)

    return batches


def our_step(data: Dataset, precision: Precision, *, held: bool) -> Step:
    """A step as `detector train` takes it; held: batch norms keep their statistics."""
    settings = replace(OURS, precision=precision)
    start = first_network(settings, data.class_names, "", None)
    training = Training(
        start.model,
        start.card,
        Objective(),
        settings.recipe,
        Clock(steps=10**6),
        fresh=start.fresh,
        side=settings.size,
        held=batch_norms(start.model) if held else (),
        judge=lambda found: {},
        explain=str,
    )
    made = training.configure_optimizers()
    average = AveragedModel(
        training.model,
        avg_fn=lambda old, new, count: ema_step(old, new, int(count), settings.recipe.ema),
        use_buffers=True,
    )

    def step(batch: Any) -> None:
        with _bfloat16(plan.precision(settings) != "32"):
            losses = training.losses(*batch[:2])
        _descend(
            made["optimizer"], losses["class"] + losses["box"], training.model, settings.recipe.clip
        )
        made["lr_scheduler"]["scheduler"].step()
        average.update_parameters(training.model)

    return step


class Photographs(TorchDataset[tuple[Any, dict[str, Any]]]):
    """Pictures with boxes, read anew each time, under torchvision's preset `ssdlite`."""

    def __init__(self, examples: Iterable[Example]) -> None:
        # Without boxes RandomIoUCrop never ends.
        self.examples = [e for e in examples if len(e.labels)]
        self.change = v2.Compose(
            [
                v2.RandomIoUCrop(),
                v2.RandomHorizontalFlip(0.5),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.SanitizeBoundingBoxes(),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        example = self.examples[index]
        image = Image.open(example.path).convert("RGB")
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(example.xyxy), format="XYXY", canvas_size=(image.height, image.width)
        )
        labels = torch.from_numpy(example.labels) + 1  # 0 is the background
        return self.change(image, {"boxes": boxes, "labels": labels})


def their_batches(data: Dataset, options: Options) -> Callable[[int], Iterable[Any]]:
    """Batches as torchvision's reference script loads them."""
    photographs = Photographs(data.examples)

    def batches(steps: int) -> Iterable[Any]:
        count = steps * options.batch
        return DataLoader(
            photographs,
            options.batch,
            sampler=RandomSampler(photographs, replacement=True, num_samples=count),
            collate_fn=transposed,
            num_workers=options.workers,
            prefetch_factor=AHEAD if options.workers else None,
        )

    return batches


def transposed(items: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """(image, target) of each -> images, targets."""
    return tuple(zip(*items, strict=True))


def their_step(data: Dataset, *, best: bool) -> Step:
    """A step of torchvision's; best: channels_last, and bfloat16 where the CPU has it."""
    model = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=len(data.class_names) + 1
    ).train()
    if best:
        model = model.to(memory_format=torch.channels_last)
    made = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=4e-5)

    def step(batch: Any) -> None:
        with _bfloat16(best and plan.precision(OURS) != "32"):
            losses = model(list(batch[0]), list(batch[1]))
        _descend(made, sum(losses.values()), model, None)

    return step


@contextlib.contextmanager
def _bfloat16(wanted: bool) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16, enabled=wanted):
        yield


def _descend(
    optimiser: torch.optim.Optimizer, loss: Any, model: nn.Module, clip: float | None
) -> None:
    optimiser.zero_grad()
    loss.backward()
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    main(tyro.cli(Options))
