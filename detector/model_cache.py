"""Compiled models on disk: a second start need not read and optimise the model file again.

OpenVINO's own cache (CACHE_DIR) is not used: it never removes a file, and it trusts a damaged one
whose header is whole, weights and all. Here each file carries the digest of its content, and the
least recently used ones go. Nothing that goes wrong here stops a start: it is then compiled.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MAX_FILES = 20
MAX_BYTES = 500_000_000
_PREFIX = "detector-"  # only our own files are ever removed: DETECTOR_CACHE may be anywhere
_DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Where compiled models are kept; `DETECTOR_CACHE` moves it. None for a user without a home."""
    if own := os.environ.get("DETECTOR_CACHE"):
        return Path(own)
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = str(Path.home() / "Library" / "Caches")
        else:
            base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError:
        return None
    return Path(base) / "mobilenet-ssd"


def key_of(model: bytes, circumstances: Iterable[object]) -> str:
    """A name for what `model` compiles to under `circumstances`: sizes, options, versions, CPU."""
    digest = hashlib.sha256(model)
    for item in circumstances:
        digest.update(f"|{item}".encode())
    return digest.hexdigest()[:40]


def load(folder: Path | None, key: str) -> bytes | None:
    """What was stored under `key`; None when nothing was, or when it is not whole any more."""
    if folder is None:
        return None
    path = _path(folder, key)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    payload = content[_DIGEST:]
    if hashlib.sha256(payload).digest() != content[:_DIGEST]:
        return None
    with suppress(OSError):  # a read-only folder
        os.utime(path)  # used just now: pruned last
    return payload


def store(folder: Path | None, key: str, payload: bytes) -> bool:
    """Keep `payload` under `key` and prune; False where that cannot be done (full, read-only)."""
    if folder is None:
        return False
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: two processes may be storing the same model at this moment.
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=".part", dir=folder)
        part = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
        part.replace(_path(folder, key))
    except OSError:
        if part is not None:
            with suppress(OSError):
                part.unlink()
        return False
    prune(folder)
    return True


def prune(folder: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
    """Remove the least recently used files beyond `max_files` or `max_bytes` in all.

    Also what a process that died left half-written: it ages like the rest.
    """
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process may have pruned it
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = 0
    for number, (_, size, path) in enumerate(sorted(found, reverse=True), 1):
        total += size
        if number > max_files or total > max_bytes:
            with suppress(OSError):  # gone, or on Windows still open elsewhere
                path.unlink()


def _path(folder: Path, key: str) -> Path:
    return folder / f"{_PREFIX}{key}.blob"
