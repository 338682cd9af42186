"""What a data card says to download: loaded, checked, unpacked where the card wants it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detector.data.card import Card, Download, card_file, known_cards, read_card
from detector.data.download import PATIENT, Network, Unreachable, download, file_name, verify
from detector.data.unpack import is_archive, unpack
from detector.errors import DetectorError
from detector.outfile import write_whole

DONE = ".fetched.json"  # in the root: which urls are in place; hidden, so no reader looks at it

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")

Tell = Callable[[int, int | None], None]


def find_card(name: str) -> Card:
    """The card at a path, or called so. Raises DetectorError when there is none, or it says nothing
    to download.
    """
    path = card_file(name)
    if path is None:
        known = ", ".join(known_cards())
        hint = f" (or one of {known})" if known else ""
        raise DetectorError(f"{name}: no such data card; expected the path of a .yaml file{hint}")
    card = read_card(path)
    if not card.download:
        raise DetectorError(
            f"{path}: says nothing to download; put pictures and labels into {card.root}"
        )
    return card


def fetch(
    card: Card,
    *,
    keep: bool = False,
    network: Network = PATIENT,
    progress: Callable[[str], Tell] | None = None,
) -> int:
    """Bring every file of the card in place; how many were, those already there left out.

    An archive that lies in the root already (fetched by hand) is used, after its checks. keep:
    leave archives in the root after unpacking. progress: makes, for a label, what to tell bytes to.

    Raises DetectorError when the disk is too small, and as `download` and `unpack` do; without a
    network it says which files to put where. What is done stays done for the next call.
    """
    names = [file_name(entry.url, entry.file) for entry in card.download]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DetectorError(
            f"{card.path}: download: two files are called {twice[0]}; rename one with file: NAME"
        )
    _make_root(card)
    _check_ours(card, names)
    done = _done(card.root)
    todo = [
        (entry, card.root / name)
        for entry, name in zip(card.download, names, strict=True)
        if entry.url not in done
    ]
    _check_room(card, todo, keep)
    for entry, path in todo:
        _fetch_one(card, entry, path, keep, network, progress or (lambda label: _silent))
        done = [*done, entry.url]
        write_whole(card.root / DONE, json.dumps(done, indent=1).encode(), "fetch")
    return len(todo)


def _silent(done: int, total: int | None) -> None:
    """Tells nobody."""


def _make_root(card: Card) -> None:
    try:
        card.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DetectorError(
            f"{card.path}: cannot make the folder {card.root} ({error.strerror}); change root:"
        ) from None


def _check_ours(card: Card, names: list[str]) -> None:
    """Raise DetectorError where the root holds other people's files, and nothing of the card's."""
    there = {path.name for path in card.root.iterdir()}
    ours = {DONE, *names, *(f"{name}.part" for name in names), *(f".unpack-{n}" for n in names)}
    if there and not there & ours:
        raise DetectorError(
            f"{card.root}: holds other files; expected an empty folder for {card.name}, or one "
            f"that fetch has begun: change root in {card.path}"
        )


def _done(root: Path) -> list[str]:
    try:
        content = json.loads((root / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [url for url in content if isinstance(url, str)] if isinstance(content, list) else []


def _check_room(card: Card, todo: list[tuple[Download, Path]], keep: bool) -> None:
    """Raise DetectorError unless what is declared fits: archives and content at the same time."""
    sizes = [entry.size or 0 for entry, _ in todo]
    have = sum(
        place.stat().st_size
        for _, path in todo
        for place in (path, path.with_name(f"{path.name}.part"))
        if place.exists()
    )
    # Photographs are packed without loss of size: the content is as large as the archive.
    need = 2 * sum(sizes) if keep else sum(sizes) + max(sizes, default=0)
    free = shutil.disk_usage(card.root).free
    if need - have > free:
        raise DetectorError(
            f"{card.path}: needs about {(need - have) / 1e9:.1f} GB, {free / 1e9:.1f} GB are free "
            f"in {card.root}; make room or change root:"
        )


def _fetch_one(
    card: Card,
    entry: Download,
    path: Path,
    keep: bool,
    network: Network,
    progress: Callable[[str], Tell],
) -> None:
    if path.exists():
        verify(path, str(path), entry.size, entry.digest)
    else:
        try:
            download(entry.url, path, entry.size, entry.digest, progress(path.name), network)
        except Unreachable as error:
            raise DetectorError(_by_hand(card, str(error))) from None
    target, archive = card.root / entry.to, is_archive(path)
    if path.suffix.lower() in ARCHIVES and not archive:  # a page, from a firewall or a browser
        path.unlink()
        reason = f"{entry.url}: {path.name} is no {path.suffix[1:]} file, but a page maybe; deleted"
        raise DetectorError(_by_hand(card, reason))
    if archive:
        if not unpack(path, target, progress(f"unpacking {path.name}")):
            path.unlink()
            raise DetectorError(_by_hand(card, f"{entry.url}: {path.name} is empty; deleted"))
        if not keep:
            path.unlink()
    elif target != card.root:
        target.mkdir(parents=True, exist_ok=True)
        path.replace(target / path.name)


def _by_hand(card: Card, reason: str) -> str:
    """What to do where there is no network."""
    done = _done(card.root)
    files = ", ".join(_loaded_as(e) for e in card.download if e.url not in done)
    return (
        f"{reason}. Run it again to go on, or load with a browser and put into {card.root}, as "
        f"they are, then run it again: {files}"
    )


def _loaded_as(entry: Download) -> str:
    return entry.url if entry.file is None else f"{entry.url} (as {entry.file})"


class Progress:
    """A line on stderr that is written over: name, share, speed, time left; at most 5 a second.

    Where stderr is no terminal a line comes every ten seconds instead.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._live = sys.stderr.isatty()
        self._start: tuple[float, int] | None = None
        self._last = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        """Bytes done, of so many or None."""
        now = time.monotonic()
        if self._start is None or done < self._start[1]:
            self._start = (now, done)
        ended = done == total
        if not ended and now - self._last < (0.2 if self._live else 10):
            return
        self._last = now
        line = progress_line(self.label, done, total, now - self._start[0], self._start[1])
        end = "\n" if ended or not self._live else "\r"
        print(f"\r{line:<78}" if self._live else line, end=end, file=sys.stderr, flush=True)


def progress_line(label: str, done: int, total: int | None, seconds: float, start: int) -> str:
    """'a.tar   412 of  1,999 MB  21 %  11.3 MB/s  2:20 left'; start: bytes there from before."""
    speed = (done - start) / seconds if seconds > 0 else 0.0
    parts = [f"{label}  {done / 1e6:,.0f}"]
    parts.append(f"of {total / 1e6:,.0f} MB  {done / max(1, total):4.0%}" if total else "MB")
    if speed > 0:
        parts.append(f" {speed / 1e6:.1f} MB/s")
        if total and done < total:
            left = round((total - done) / speed)
            parts.append(f" {left // 60}:{left % 60:02} left")
    return " ".join(parts)
