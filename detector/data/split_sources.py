"""Where a folder's own train / val / test splits are, and which pictures each of them names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from detector.data.example import Dataset, Example, Problem
from detector.data.tree import Tree, fold, read_text, split_path

_ALIASES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
    "trainval": "trainval",
}
# What a folder's name may say besides: `train_images`, `Test Set`, `val2017`.
_BESIDES = frozenset({"", "image", "images", "imgs", "photos", "pictures", "data", "set", "split"})
Splits = dict[str, tuple[Path, ...]]


def split_of(name: str) -> str | None:
    """'instances_val2017', 'train_labels', 'valid' -> 'val', 'train', 'val'; None for others."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if word in _ALIASES:
            return _ALIASES[word]
    return None


def list_splits(tree: Tree) -> Splits:
    """`ImageSets/Main/train.txt` of every VOC year, else `train.txt` at the root."""
    devkit = [p for p in tree.having(".txt") if p.parts[-3:-1] == ("ImageSets", "Main")]
    plain = [p for p in tree.having(".txt") if p.parent == tree.root]
    return _collect((_ALIASES.get(p.stem.lower()), p) for p in devkit) or _collect(
        (_ALIASES.get(p.stem.lower()), p) for p in plain
    )


def file_splits(tables: Sequence[Path]) -> Splits:
    """Tables or json files told apart by their own names: `instances_val2017.json`."""
    return _collect((split_of(path.stem), path) for path in tables)


def folder_splits(tree: Tree, pictures: Iterable[Path]) -> Splits:
    """`train/`, `images/val/`, `Test Set/`: folders named so, at most three deep, with pictures."""
    found: dict[Path, None] = {}
    for path in pictures:
        if not path.is_relative_to(tree.root):
            continue
        parts = path.relative_to(tree.root).parts[:-1]
        for depth, part in enumerate(parts[:3], start=1):
            first, *others = re.split(r"[^a-z]+", part.lower())
            if first in _ALIASES and _BESIDES.issuperset(others):
                found[tree.root.joinpath(*parts[:depth])] = None
                break
    return _collect((split_of(path.name), path) for path in found)


def _collect(pairs: Iterable[tuple[str | None, Path]]) -> Splits:
    splits: dict[str, tuple[Path, ...]] = {}
    for name, path in pairs:
        if name is not None:
            splits[name] = (*splits.get(name, ()), path)
    return splits


def keep_folder(dataset: Dataset, folder: Path) -> Dataset:
    """The examples whose pictures lie under a folder, and what was odd there."""
    return _keep(dataset, lambda path: path.is_relative_to(folder))


def keep_listed(dataset: Dataset, listing: Path) -> Dataset:
    """The examples a list names, in its order.

    An entry is a stem, a file name or a path, here or on another machine; a VOC list may add -1, 0
    or 1. A VOC list means its own year's folder. Entries that name no picture are problems.
    Raises ValueError when the list cannot be read.
    """
    voc = listing.parts[-3:-1] == ("ImageSets", "Main")
    year = listing.parents[2] if voc else listing.parents[-1]
    own = [e for e in dataset.examples if e.path.is_relative_to(year)]
    index = _Names(own)
    chosen: dict[Path, Example] = {}
    problems = []
    stems = set()  # of what is listed, and so of what is odd about it
    for number, line in enumerate(read_text(listing).splitlines(), start=1):
        entry = line.strip()
        if not entry:
            continue
        plain = re.sub(r"\s+-?[01]$", "", entry)
        found = index.find(entry) or index.find(plain)
        place = f"{listing.name}, line {number}"
        stems |= {fold(Path(part).stem) for part in split_path(plain)[-1:]}
        if not found:
            message = f"'{entry[:200]}' is no picture that was read; left out"
            problems.append(Problem("split-entry", place, message, listing))
        elif len(found) > 1:
            message = f"'{entry}' fits {len(found)} pictures; all are used: write their folders"
            problems.append(Problem("split-entry", place, message, listing))
        chosen.update((e.path, e) for e in found)
    stems |= {fold(path.stem) for path in chosen}
    kept = _keep(dataset, lambda path: fold(path.stem) in stems)
    examples = tuple(chosen.values())
    return replace(kept, examples=examples, problems=(*kept.problems, *problems))


class _Names:
    """Examples by file name and by stem."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self._found: dict[str, list[Example]] = {}
        for example in examples:
            for key in {fold(example.path.name), fold(example.path.stem)}:
                self._found.setdefault(key, []).append(example)

    def find(self, entry: str) -> list[Example]:
        """The examples an entry may mean; of several, those in the folders it names."""
        parts = split_path(entry)
        if not parts:
            return []
        last = fold(parts[-1])
        found = self._found.get(last) or self._found.get(last.rpartition(".")[0], [])
        folders = [fold(part) for part in parts[:-1]]
        for start in range(len(folders)):
            tail = folders[start:]
            exact = [e for e in found if _folders(e.path)[-len(tail) :] == tail]
            if exact:
                return exact
        return found


def _folders(path: Path) -> list[str]:
    return [fold(part) for part in path.parts[:-1]]


def _keep(dataset: Dataset, wanted: Callable[[Path], bool]) -> Dataset:
    """Filter examples by picture, and problems by the picture they are about.

    Problems that are about none, or about a json or CSV as a whole, are kept.
    """

    def about_these(path: Path | None) -> bool:
        return path is None or path.suffix.lower() in (".json", ".csv", ".tsv") or wanted(path)

    return replace(
        dataset,
        examples=tuple(e for e in dataset.examples if wanted(e.path)),
        problems=tuple(p for p in dataset.problems if about_these(p.path)),
    )
