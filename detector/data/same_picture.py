"""Whether several files of one name are one picture."""

from __future__ import annotations

from collections.abc import Sequence
from filecmp import cmp
from pathlib import Path

from detector.data.near_duplicates import hash_pictures, near_pairs


def the_one(found: Sequence[Path]) -> Path | None:
    """The first of several pictures of a name, when all are copies of it or the same in a folder.

    In one folder lies one photograph in two formats, `1.jpg` and `1.png`, told by how they look. A
    file that cannot be decoded is taken for the same. None when they differ, or lie in different
    folders and are not copies: nobody can tell which is meant.
    """
    first, *others = found
    same = all(_copies(p, first) or (p.parent == first.parent and _alike(p, first)) for p in others)
    return first if same else None


def _copies(a: Path, b: Path) -> bool:
    try:
        return cmp(a, b, shallow=False)
    except OSError:
        return False


def _alike(a: Path, b: Path) -> bool:
    hashes = hash_pictures([a, b])
    return any(known is None for known in hashes) or bool(near_pairs(hashes))
