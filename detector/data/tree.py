"""The files of a data set folder, and which picture a label file means."""

from __future__ import annotations

import mmap
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from detector.errors import DetectorError
from detector.images import IMAGE_SUFFIXES

_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]{0,80}encoding=["']([A-Za-z0-9._-]{1,40})["']""")
_IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
# Nobody writes half a gigabyte of labels but COCO; its train json has 449 MB.
MAX_LABEL_BYTES = 2**31


@dataclass(frozen=True)
class Tree:
    """A folder's files, sorted. `main` is set when the user named one label file instead."""

    root: Path
    files: tuple[Path, ...]
    main: Path | None = None

    def having(self, *suffixes: str) -> list[Path]:
        """Files with one of these suffixes (lower case, with the dot)."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def show(self, path: Path) -> str:
        """A path as errors and sources name it: relative to the root, with slashes."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )


def scan(root: Path) -> Tree:
    """Walk a folder; hidden files and what archives leave (`__MACOSX`) are not looked at.

    Regular files count, and links to them. Links to folders are followed, each real folder once.
    Raises DetectorError when `root` is missing or cannot be listed.
    """
    main = None
    if root.is_file():
        main, root = root, root.parent
    if not root.is_dir():
        raise DetectorError(f"{root}: no such folder, expected a data set; check the path")
    return Tree(root, tuple(sorted(_walk(str(root)))), main)


def _walk(root: str) -> Iterator[Path]:
    """All files; of pipes, sockets and devices none: whoever opens one may wait for ever."""
    todo, seen = [root], set()
    while todo:
        folder = todo.pop()
        real = os.path.realpath(folder)
        if real in seen:  # a link back up would never end
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                visible = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
        except OSError as error:
            _refuse(error)
        folders = [entry for entry in visible if _is(entry.is_dir)]
        todo += [e.path for e in reversed(folders) if not e.name.startswith("__MACOSX")]
        for entry in visible:
            # A broken link counts: who reads it says so.
            if _is(entry.is_file) or (entry.is_symlink() and not _is(Path(entry.path).exists)):
                yield Path(entry.path)


def _is(kind: Callable[[], bool]) -> bool:
    """What an entry says of itself; False for a link to itself."""
    try:
        return kind()
    except OSError:
        return False


def _refuse(error: OSError) -> NoReturn:
    raise DetectorError(f"{error.filename}: cannot be listed ({error.strerror}); check permissions")


def scan_pictures(tree: Tree, images: Path | None = None) -> PictureIndex:
    """The pictures of a tree; if it has none, of `images`, or of an images folder near it."""
    if images is not None:
        return PictureIndex(scan(images).files)
    if tree.having(*IMAGE_SUFFIXES):
        return PictureIndex(tree.files)
    for folder in (tree.root.parent, tree.root.parent.parent):
        for name in ("images", "JPEGImages", "imgs", "pictures"):
            if (folder / name).is_dir():
                return PictureIndex(scan(folder / name).files)
    return PictureIndex(tree.files)


class PictureIndex:
    """Finds pictures by name, whatever the case, the Unicode form or the slashes of the name.

    HEIC, which is not decoded here, is found only where no other picture of the stem is, so that
    whoever reads it says to convert it; it is among `pictures` when nothing else is.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        files = list(files)
        self.pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        stems = {fold(path.stem) for path in self.pictures}
        heic = [path for path in files if path.suffix.lower() in HEIC_SUFFIXES]
        heic = [path for path in heic if fold(path.stem) not in stems]
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.pictures + heic:
            self._by_name.setdefault(fold(path.name), []).append(path)
            self._by_stem.setdefault(fold(path.stem), []).append(path)
        self.pictures = self.pictures or heic

    def by_stem(self, stem: str) -> list[Path]:
        """Pictures called `stem.anything`."""
        return self._by_stem.get(fold(stem), [])

    def by_name(self, name: str) -> list[Path]:
        """Pictures a label file may mean by `a\\b.jpg`, `/gone/b.jpg`, `b.jpg` or `b`.

        Those of the very name, else those of the stem; of several, those that share the most
        folders with `name`, counted from the end. A backslash may also be part of a file's name:
        zip files of Windows unpacked elsewhere leave such.
        """
        parts = split_path(name)
        if not parts:
            return []
        last = name.rpartition("/")[2]
        if "\\" not in last or fold(last) not in self._by_name:
            last = parts[-1]
        found = self._by_name.get(fold(last)) or self._by_stem.get(fold(last))
        found = found or self._by_stem.get(fold(last.rpartition(".")[0] or last), [])
        if len(found) < 2:
            return found
        shared = [_shared_tail(parts[:-1], path.parts[:-1]) for path in found]
        return [path for path, n in zip(found, shared, strict=True) if n == max(shared)]


def split_unlabelled(
    tree: Tree, pictures: Iterable[Path], labelled: Iterable[Path]
) -> tuple[list[Path], list[Path]]:
    """Pictures no label file means: (negatives, strangers).

    A negative lies in a folder with labelled pictures, or in one made for pictures. Strangers are
    the rest: segmentation masks, a README's screenshots, plots of somebody's training.
    """
    known = set(labelled)
    folders = {path.parent for path in known}
    rest = [path for path in pictures if path not in known]
    # Only folders of the data set itself count: all of it may lie under ~/images.
    inside = [
        p.parent in folders or _IMAGE_FOLDERS.intersection(tree.show(p).split("/")) for p in rest
    ]
    negatives = [path for path, good in zip(rest, inside, strict=True) if good]
    return negatives, [path for path, good in zip(rest, inside, strict=True) if not good]


def split_path(name: str) -> list[str]:
    """`C:\\a\\b.jpg` or `../a/b.jpg` as its parts, without drives, dots and empty ones."""
    parts = name.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..") and not part.endswith(":")]


def fold(name: str) -> str:
    """One spelling for names that file systems hold equal: NFC, no case."""
    return unicodedata.normalize("NFC", name).casefold()


def nearest(label: Path, candidates: Sequence[Path]) -> list[Path]:
    """Those of `candidates` the fewest folders away from `label`.

    Of equally near ones those with the most folder names in common, counted from the end:
    `labels/train/1.txt` means `images/train/1.jpg`, not `images/val/1.jpg`.
    """
    here = label.parent.parts
    keys = []
    for path in candidates:
        there = path.parent.parts
        steps = len(here) + len(there) - 2 * _shared_head(here, there)
        keys.append((steps, -_shared_tail(here, there)))
    return [path for path, key in zip(candidates, keys, strict=True) if key == min(keys)]


def _shared_head(a: Sequence[str], b: Sequence[str]) -> int:
    same = (fold(left) == fold(right) for left, right in zip(a, b, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _shared_tail(a: Sequence[str], b: Sequence[str]) -> int:
    return _shared_head(a[::-1], b[::-1])


def holds(path: Path, *words: str) -> bool:
    """Whether all the words stand somewhere in a file, in UTF-8 or, by its BOM, UTF-16."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            marks = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
            encoding = marks.get(text[:2], "utf-8")
            return all(text.find(word.encode(encoding)) >= 0 for word in words)
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        return False


def read_text(path: Path) -> str:
    """A text file of any usual encoding: by its BOM, its XML declaration, UTF-8, else Latin-1.

    Raises ValueError when it cannot be read or is too large for labels.
    """
    try:
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise ValueError(f"{path.stat().st_size / 1e9:.1f} GB is too much for a label file")
        return decode_text(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None


def decode_text(data: bytes) -> str:
    """See `read_text`; never fails, since Latin-1 takes any byte."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    declared = _XML_ENCODING.match(data[:200])
    for encoding in ("utf-8-sig", declared[1].decode() if declared else "latin-1"):
        with suppress(ValueError, LookupError):  # LookupError: an encoding nobody knows
            return data.decode(encoding)
    return data.decode("latin-1")
