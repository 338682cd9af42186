"""A split of our own: seeded, classes balanced, near-duplicate pictures on one side; a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from detector.data.account import counted
from detector.data.example import Dataset, Example, Problem
from detector.data.near_duplicates import group_pictures, hash_pictures
from detector.errors import DetectorError

Float64 = npt.NDArray[np.float64]
Item = TypeVar("Item")


def split_dataset(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """(train, val) with about `fraction` of the pictures, and of each class's boxes, in val.

    The same pictures, fraction and seed give the same split. Pictures that cannot be decoded stay
    in train and are problems there. Raises DetectorError for fewer than two pictures.
    """
    examples = dataset.examples
    if len(examples) < 2:
        raise DetectorError(
            f"{counted(len(examples), 'picture')} cannot be split into train and val; label "
            "at least 2 (50 or more for a useful detector), or name both splits in a data card: "
            "splits: {train: ., val: .}"
        )
    hashes = hash_pictures([e.path for e in examples])
    groups = group_pictures([e.path for e in examples], hashes)
    problems = [
        Problem("unreadable-picture", e.path.name, "cannot be decoded; kept in train", e.path)
        for e, picture_hash in zip(examples, hashes, strict=True)
        if picture_hash is None
    ]
    if len(groups) == 1:
        groups = [[i] for i in range(len(examples))]
        message = "all pictures are near duplicates: val is no test of new ones; add others"
        problems.append(Problem("split", "val", message))
    counts = count_classes(examples, len(dataset.class_names))
    unreadable = [i for i, h in enumerate(hashes) if h is None]
    chosen = choose_val(groups, counts, fraction, seed, frozenset(unreadable))
    train = replace(
        dataset,
        examples=tuple(e for i, e in enumerate(examples) if i not in chosen),
        problems=(*dataset.problems, *problems),
    )
    val = replace(
        dataset, examples=tuple(examples[i] for i in sorted(chosen)), problems=(), drawn=True
    )
    return train, val


def count_classes(examples: Sequence[Example], classes: int) -> Float64:
    """(N, K + 2): boxes of each class in each picture; then 1 for one without boxes; then 1."""
    counts = np.zeros((len(examples), classes + 2))
    for row, example in zip(counts, examples, strict=True):
        row[:classes] = np.bincount(example.labels[~example.ignore], minlength=classes)
        row[classes] = len(example.labels) == 0
    counts[:, -1] = 1
    return counts


def choose_val(
    groups: Sequence[Sequence[int]],
    counts: Float64,
    fraction: float,
    seed: int,
    barred: frozenset[int] = frozenset(),
) -> set[int]:
    """Picture indices for val: groups join it, rarest class first, while the shares get better.

    counts: (N, C) as `count_classes`. The cost of a val is how far each column's share is from
    `fraction`, summed over the columns. At least one group goes to each side.
    """
    table = np.array([counts[list(group)].sum(0) for group in groups])  # (M, C)
    total = table.sum(0)
    used = total > 0
    share = table[:, used] / total[used]
    # A column counts by the accuracy its share can be given: one box cannot be split at all.
    weight = np.sqrt(np.minimum(total[used] * fraction, 25))
    weight[-1] = weight.max()
    room = 1.1 * fraction + share[:, -1].min()  # many rare classes must not swell val
    order = _rarest_first(table, total, seed)
    order = [g for g in order if not barred.intersection(groups[g])] or order
    val: list[int] = []
    inside = np.zeros(share.shape[1])
    for group in order:
        then = inside + share[group]
        # Train keeps some of everything: what it never sees it cannot learn.
        fits = then[-1] <= room and bool((then < 1 - 1e-9).all())
        if fits and float(weight @ (np.abs(inside - fraction) - np.abs(then - fraction))) > 0:
            val.append(group)
            inside = then
    if not val:
        costs = [float(weight @ np.abs(share[group] - fraction)) for group in order]
        val = [order[int(np.argmin(costs))]]
    return {i for group in val for i in groups[group]}


def _rarest_first(table: Float64, total: Float64, seed: int) -> list[int]:
    """Group indices, those with the rarest column first, chance deciding between equals."""
    rarity = np.where(table > 0, total, np.inf).min(1)
    chance = np.random.default_rng(seed).permutation(len(table))
    return [int(i) for i in np.lexsort((chance, rarity))]


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread."""
    step = max(1.0, len(items) / most)
    return [items[int(i * step)] for i in range(min(most, len(items)))]
