"""Files that are whole or absent: a hidden name beside the place, renamed at the end."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from detector.errors import DetectorError


def start_file(path: Path, option: str) -> Path:
    """An empty file beside `path`, with its suffix, to write to and rename; shows that one can.

    Raises DetectorError, naming `option`, when the folder is missing or cannot be written, or when
    a folder or a device already has the name.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if path.is_dir():
            raise DetectorError(f"{option} {path}: this is a folder; give the name of a file")
        if path.exists() and not path.is_file():  # a rename would replace /dev/null itself
            raise DetectorError(f"{option} {path}: this is not a regular file; give another name")
        if not path.parent.is_dir():
            raise DetectorError(
                f"{option} {path}: there is no folder {path.parent}; make it or save elsewhere"
            )
        temporary.open("wb").close()
    except OSError as error:
        raise cannot_write(path, option, error) from error
    return temporary


def write_whole(path: Path, content: bytes, option: str, *, durable: bool = False) -> None:
    """Write a file in one go; DetectorError, and no file, when it does not fit.

    durable: on the disk before it takes its place, so that a power cut leaves the old or the new.
    """
    temporary = start_file(path, option)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, option, error) from error


def make_folder(path: Path, option: str) -> bool:
    """Make the last folder of `path`; whether it was missing. Raises DetectorError."""
    try:
        if path.is_dir():
            return False
        if not path.parent.is_dir():  # a misspelt path should not grow a tree
            raise DetectorError(
                f"{option} {path}: there is no folder {path.parent}; make it or save elsewhere"
            )
        path.mkdir()
    except OSError as error:
        raise cannot_write(path, option, error) from error
    return True


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """`folder/stem.suffix`, or the first of `stem_2.suffix`, ... that does not exist."""
    path = folder / f"{stem}{suffix}"
    numbers = count(2)
    while path.exists():
        path = folder / f"{stem}_{next(numbers)}{suffix}"
    return path


def cannot_write(path: Path, option: str, error: OSError) -> DetectorError:
    """The one line for a refusal by the system: full, read-only, no permission, name too long."""
    reason = (error.strerror or str(error)).lower()
    return DetectorError(f"{option} {path}: cannot write here ({reason}); save elsewhere")
