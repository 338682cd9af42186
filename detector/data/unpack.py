"""Archives from elsewhere, unpacked with distrust: in one folder, plain files, bounded."""

from __future__ import annotations

import bz2
import filecmp
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from detector.errors import DetectorError

# Photographs do not shrink and label files by 20 at most; a bomb by 1,000 and more.
MAX_RATIO, FREE_BYTES = 40, 2**26
MAX_FILES = 3_000_000  # ImageNet has 1.4 million
CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, lzma.LZMAError, ValueError)

Tell = Callable[[int, int], None]
Open = Callable[[Path], Any]  # a file of bytes to read; the modules' own types differ

_PACKED: dict[str, tuple[bytes, Open]] = {
    ".gz": (b"\x1f\x8b", gzip.open),
    ".bz2": (b"BZh", bz2.open),
    ".xz": (b"\xfd7zXZ\0", lzma.open),
}


class Member(NamedTuple):
    """A file in an archive: its name as stored, its declared bytes, how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar (plain, gz, bz2, xz), by content; or one packed file.

    A packed file counts only where its name says so too: `labels.csv.gz`.
    """
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path) or _packed(path) is not None


def unpack(archive: Path, folder: Path, tell: Tell = lambda done, total: None) -> int:
    """Unpack a zip, tar or packed file into `folder`, made if missing; returns how many files.

    All is unpacked beside the place first and moved in at the end, so an archive that fails leaves
    nothing. A file that is there already must be equal. tell(bytes done, bytes in all).

    Raises DetectorError for an archive that is damaged or encrypted, names a place outside
    `folder`, holds links or devices, unpacks to more than MAX_RATIO times its size, or does not
    fit on the disk; and for a different file in the way.
    """
    # In the folder itself, which may be a disk of its own; what a killed try left is in the way.
    work = (folder if folder.is_dir() else folder.parent) / f".unpack-{archive.name}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        with _members(archive) as found:
            members, total = _check_sizes(archive, found, work)
            done = 0
            for member in members:
                target = work / safe_name(member.name, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                done = _write(member, target, archive, done, total, tell)
        _move_in(work, folder)
        return len(members)
    except _BROKEN as error:
        raise DetectorError(
            f"{archive}: is damaged and cannot be unpacked ({error}); delete it and fetch it again"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise DetectorError(
            f"{archive}: cannot be unpacked into {folder} ({reason}); make room or choose another "
            "root"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def safe_name(name: str, archive: Path) -> Path:
    """A member's name as a relative path. Raises DetectorError when it points outside."""
    parts = name.replace("\\", "/").split("/")
    bad = name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name
    kept = [part for part in parts if part not in ("", ".")]
    if bad or not kept:
        raise DetectorError(
            f"{archive}: holds '{name[:200]}', a place outside its folder; it may mean harm, so "
            "nothing was unpacked"
        )
    return Path(*kept)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    """The files of an archive while it is open, folders left out. Raises as `unpack` does."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            files = (info for info in zipped.infolist() if not info.is_dir())
            yield (_zip_member(zipped, info, archive) for info in files)
    elif (opener := _packed(archive)) is not None and not tarfile.is_tarfile(archive):
        yield iter([_packed_member(archive, opener)])
    else:
        with closing(tarfile.open(archive)) as tar:
            yield (_tar_member(tar, info, archive) for info in tar if not info.isdir())


def _packed(path: Path) -> Open | None:
    """What opens a file packed alone, by its suffix and first bytes; None for others."""
    magic, opener = _PACKED.get(path.suffix.lower(), (b"", None))
    with path.open("rb") as file:
        return opener if file.read(len(magic)) == magic else None


def _packed_member(archive: Path, opener: Open) -> Member:
    """The one file. None of the formats says reliably how large it is: it is read to know."""
    most = _most(archive)
    size = 0
    with opener(archive) as file:
        while size <= most and (block := file.read(CHUNK)):
            size += len(block)
    return Member(archive.stem, size, lambda: opener(archive))


def _zip_member(zipped: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path) -> Member:
    if info.flag_bits & 1:
        raise DetectorError(f"{archive}: is encrypted; unpack it yourself")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:  # the mode of a symbolic link
        raise _link(archive, info.filename)
    return Member(info.filename, info.file_size, lambda: zipped.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> Member:
    if not info.isreg():
        raise _link(archive, info.name)

    def open_it() -> IO[bytes]:
        file = tar.extractfile(info)
        if file is None:
            raise tarfile.TarError(f"{info.name} has no content")
        return file

    return Member(info.name, info.size, open_it)


def _link(archive: Path, name: str) -> DetectorError:
    return DetectorError(
        f"{archive}: holds '{name[:200]}', a link or device, expected files only; nothing was "
        "unpacked: do it yourself if you trust it"
    )


def _check_sizes(archive: Path, found: Iterator[Member], place: Path) -> tuple[list[Member], int]:
    """The members, and the bytes they declare to hold. Raises DetectorError when that is too much.

    It stops at the first that is: skipping a terabyte of zeros in a tar.gz would take hours.
    """
    most = _most(archive)
    members, total = [], 0
    for member in found:
        members.append(member)
        total += member.size
        if total > most or len(members) > MAX_FILES:
            raise DetectorError(
                f"{archive}: would unpack to {total / 1e6:,.0f} MB or more in {len(members):,} "
                f"files from {archive.stat().st_size / 1e6:,.1f} MB; that looks like a bomb, so "
                "nothing was unpacked: do it yourself if you trust it"
            )
    free = shutil.disk_usage(place).free
    if total > free:
        raise DetectorError(
            f"{archive}: needs {total / 1e6:,.0f} MB unpacked, {free / 1e6:,.0f} MB are free in "
            f"{place.parent}; make room or choose another root"
        )
    return members, total


def _most(archive: Path) -> int:
    """Bytes that an honest archive may hold."""
    return MAX_RATIO * archive.stat().st_size + FREE_BYTES


def _write(member: Member, target: Path, archive: Path, done: int, total: int, tell: Tell) -> int:
    """Write one member; returns the bytes done in all."""
    left = member.size
    with member.open() as source, target.open("xb") as sink:
        while block := source.read(CHUNK):
            left -= len(block)
            if left < 0:  # the header lied
                raise DetectorError(
                    f"{archive}: '{member.name[:200]}' holds more than it declares; it may mean "
                    "harm, so nothing was unpacked"
                )
            sink.write(block)
            done += len(block)
            tell(done, total)
    return done


def _move_in(work: Path, folder: Path) -> None:
    """Move all files of `work` under `folder`, first looking whether any is in the way."""
    if not folder.exists():
        work.rename(folder)
        return
    files = [path for path in sorted(work.rglob("*")) if path.is_file()]
    for path in files:
        target = folder / path.relative_to(work)
        if target.exists() and not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            raise DetectorError(
                f"{target}: is in the way of a different one from an archive; move it or choose "
                "another root"
            )
    for path in files:
        target = folder / path.relative_to(work)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
