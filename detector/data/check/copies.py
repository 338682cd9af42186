"""Pictures that are the same or nearly so, within a split and across splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from detector.data.check.finding import Finding
from detector.data.check.pictures import Picture
from detector.data.near_duplicates import group_pictures, hash_distances


class Placed(NamedTuple):
    """A picture in a split, and how messages call it."""

    split: str
    picture: Picture
    name: str


def copies(placed: Sequence[Placed]) -> Iterator[Finding]:
    """One finding for each picture that has an earlier copy or near duplicate.

    placed: train first, then the splits that judge it. Of several earlier ones the most alike is
    named, one of another split before all: that is the leak.
    """
    paths = [p.picture.path for p in placed]
    for group in group_pictures(paths, [p.picture.bits for p in placed]):
        for position, i in enumerate(group[1:], start=1):
            finding = _against([placed[j] for j in group[:position]], placed[i])
            if finding is not None:
                yield finding
    yield from _undecodable_copies(placed)


def _against(earlier: Sequence[Placed], one: Placed) -> Finding | None:
    """The worst that `one` is to the earlier pictures of its group."""
    foreign = [other for other in earlier if other.split != one.split]
    same = [other for other in earlier if other.picture.digest == one.picture.digest]
    for candidates, kind in (
        ([p for p in same if p in foreign], "leaked-copy"),
        (foreign, "leaked-near"),
        (same, "copy"),
        (list(earlier), "near-duplicate"),
    ):
        if candidates:
            other = min(candidates, key=lambda p: _distance(p.picture, one.picture))
            how = "the same as" if kind in ("leaked-copy", "copy") else "nearly the same as"
            place = f"{other.name} of {other.split}" if kind.startswith("leak") else other.name
            return Finding(
                kind,
                one.name,
                f"is {how} {place}",
                one.split,
                one.picture.path,
                other.picture.path,
            )
    return None


def _undecodable_copies(placed: Sequence[Placed]) -> Iterator[Finding]:
    """One path in two splits, whatever it holds: a slip in the lists."""
    first: dict[Path, Placed] = {}
    for one in placed:
        other = first.setdefault(one.picture.path, one)
        if other.split != one.split and one.picture.bits is None:
            message = f"is also in {other.split}"
            yield Finding("leaked-copy", one.name, message, one.split, one.picture.path)


def _distance(a: Picture, b: Picture) -> int:
    """In how many bits two pictures differ, one of them mirrored or not."""
    if a.bits is None or b.bits is None:
        return 64
    return int(hash_distances(a.bits[:1], b.bits).min())
