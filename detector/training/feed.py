"""Batches for training, in an order that a resumed run takes up where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from detector.data.augment import flipped_view, training_views
from detector.data.example import Example
from detector.data.flips import FLIPS
from detector.data.loading import Item, Pictures, Stream, collate
from detector.data.mosaic import with_mosaics
from detector.training.interrupt import ignore_interrupts
from detector.training.objective import Truth
from detector.training.process import give_back

CALM_FROM = 0.9  # share of a run after which pictures are only flipped
AHEAD = 4  # batches each worker prepares
STUCK = 300  # seconds for a batch, after which workers are taken to hang
NEVER = 2**62
VIEWS = ("crops", "zoom", "flips", "colours", "mosaic")  # what a `Feed` is told of them

Place = tuple[int, bool]  # sample number, and whether the run is calm by then
Batch = tuple[Tensor, list[Truth], list[int]]  # images, truths, sample numbers


class Feed(TorchDataset[tuple[Item, int]]):
    """Samples by place: sample i is a function of the seed, i and calm alone (see `Stream`)."""

    def __init__(
        self,
        pictures: Pictures,
        side: int,
        seed: int,
        *,
        crops: float,
        zoom: float,
        flips: float = FLIPS,
        colours: float = 0.5,
        mosaic: float = 0.0,
    ) -> None:
        augment = training_views(side, crops=crops, zoom=zoom, flips=flips, colours=colours)
        calm = flipped_view(side, flips)
        if mosaic:
            others = pictures.view, len(pictures)
            augment = with_mosaics(augment, *others, side, mosaic, flips=flips, colours=colours)
        self.pictures = pictures
        self.wild = Stream(pictures, augment, calm, seed, NEVER)
        self.calm = Stream(pictures, augment, calm, seed, 0)

    def __getitem__(self, place: Place) -> tuple[Item, int]:
        index, is_calm = place
        return (self.calm if is_calm else self.wild)[index], index

    def example(self, index: int) -> Example:
        """Whose picture sample `index` shows; in a mosaic, the first of the four."""
        return self.pictures.examples[self.wild.picture(index)]


class Places(Sampler[list[Place]]):
    """Endless batches of places from step `start` on.

    Of `world` processes that train together, `rank` takes its share of each step: together they see
    what one process with a batch of world x batch would. progress: of a step, 0..1.
    """

    def __init__(
        self,
        progress: Callable[[int], float],
        batch: int,
        *,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.progress, self.batch, self.start = progress, batch, start
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[Place]]:
        step = self.start
        while True:
            calm = self.progress(step) >= CALM_FROM
            first = (step * self.world + self.rank) * self.batch
            yield [(index, calm) for index in range(first, first + self.batch)]
            step += 1


def make_loader(feed: Feed, places: Places, workers: int) -> DataLoader[tuple[Item, int]]:
    """Batches of `feed`, prepared by `workers` processes (0: in this one).

    With workers OpenCV runs on one thread from here on, in this process too: forked beside a pool
    of threads it would wait for them for ever. `stuck` recognises the error when one does anyway.
    """
    if workers:
        cv2.setNumThreads(1)
    return DataLoader(
        feed,
        batch_sampler=places,
        collate_fn=collate_numbered,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        timeout=STUCK if workers else 0,
        worker_init_fn=_begin_worker,
        # Forked workers share the pictures' memory; started anew each would need a copy.
        multiprocessing_context="fork" if workers and _can_fork() else None,
    )


def stuck(error: RuntimeError) -> bool:
    """Whether an error of the loader says that a worker did not answer, or was killed."""
    signs = ("DataLoader timed out", "exited unexpectedly", "is killed by signal")
    return any(sign in str(error) for sign in signs)


def terminated(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, says that a worker got SIGTERM."""
    while error is not None:
        if "is killed by signal: Terminated" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def collate_numbered(items: list[tuple[Item, int]]) -> Batch:
    """Numbered items -> images (N, 3, S, S) uint8, N truths, N numbers."""
    images, truths = collate([item for item, _ in items])
    return images, truths, [index for _, index in items]


def _begin_worker(number: int) -> None:
    ignore_interrupts()
    # Kept memory is there twice as soon as the parent of a forked worker writes to its own.
    give_back()


def _can_fork() -> bool:
    return "fork" in torch.multiprocessing.get_all_start_methods()


def constant(images: Iterable[Tensor], batch: int) -> DataLoader[Tensor]:
    """The validation pictures, (3, S, S) each, in order, already in memory."""
    rows = list(images)
    return DataLoader(rows, batch_size=batch, collate_fn=partial(torch.stack, dim=0))  # type: ignore[arg-type]
