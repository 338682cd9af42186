"""Data cards: a short YAML file that says where a data set is and how to use it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.data.download import file_name
from detector.data.formats import FORMATS
from detector.data.tree import read_text
from detector.data.yolo_names import listed_names, load_yaml
from detector.errors import DetectorError

DEFAULT_VAL = 0.2
_INSTALLED = Path(__file__).parents[1] / "cards"  # what a wheel has, see pyproject.toml
_CARDS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "datasets"
_KEYS = (
    "name",
    "root",
    "format",
    "images",
    "first_pixel",
    "splits",
    "val",
    "seed",
    "classes",
    "download",
)
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<otherwise>[^}]*))?\})")
_CLASS_KEYS = ("names", "rename", "merge", "drop")
_DOWNLOAD_KEYS = ("url", "sha256", "md5", "size", "to", "file")
_DIGITS = {"sha256": 64, "md5": 32}


@dataclass(frozen=True)
class Download:
    """One file to fetch. digest: its sha256 or md5 in hex digits; size: bytes; None where unknown.

    to: where it, or what its archive holds, goes, relative to the card's root. file: what it is
    called as loaded, where its url does not say.
    """

    url: str
    digest: str | None = None
    size: int | None = None
    to: str = "."
    file: str | None = None


@dataclass(frozen=True)
class Classes:
    """What to do with class names: drop, then rename (several to one: merge), then order.

    names: the final list and order; empty: as found. rename: old name to new.
    """

    names: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """A data card. path: the card or folder it came from, for messages.

    splits: name to lists, folders or label files, relative to root. val: share of train that is
    kept out for val when no split says. images, first_pixel: as `formats.read`.
    """

    path: Path
    root: Path
    name: str = ""
    format: str = "auto"
    images: Path | None = None
    first_pixel: int | None = None
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    val: float | None = None
    seed: int = 0
    classes: Classes = Classes()
    download: tuple[Download, ...] = ()


def card_file(name: str | Path) -> Path | None:
    """The card at a path, or `datasets/NAME.yaml` here, or the NAME that came with us; or None."""
    places = [Path(name), Path("datasets") / f"{name}.yaml", _CARDS / f"{name}.yaml"]
    return next((place for place in places if place.is_file()), None)


def known_cards() -> list[str]:
    """Names of the cards that came with us."""
    return sorted(path.stem for path in _CARDS.glob("*.yaml"))


def read_card(path: Path) -> Card:
    """A card, checked, or YOLO's data.yaml taken as one. The root need not exist yet.

    Raises DetectorError, naming file and key.
    """
    try:
        content = load_yaml(read_text(path))
    except ValueError as error:
        raise DetectorError(f"{path}: {error}; expected a data card") from None
    if not isinstance(content, dict):
        raise DetectorError(f"{path}: holds no keys; expected a data card with at least 'root:'")
    if "names" in content and not content.keys() & {"root", "splits", "classes"}:
        return _yolo_card(path, content)
    _check_keys(content, _KEYS, f"{path}")
    if "root" not in content:
        raise DetectorError(f"{path}: no 'root'; say where the pictures are, such as root: mango")
    splits = _splits(content.get("splits") or {}, f"{path}: splits")
    if "val" in splits and content.get("val") is not None:
        raise DetectorError(f"{path}: val is given twice, as a share and in splits; keep one")
    card_format = _choice(content.get("format", "auto"), ("auto", *FORMATS), f"{path}: format")
    images = content.get("images")
    return Card(
        path=path,
        root=_place(_text(content["root"], f"{path}: root"), path, "root"),
        name=_text(content.get("name", path.stem), f"{path}: name"),
        format=card_format,
        images=None if images is None else _place(_text(images, f"{path}: images"), path, "images"),
        first_pixel=_number(content, "first_pixel", (0, 1), path),
        splits=splits,
        val=_fraction(content.get("val"), path),
        seed=_number(content, "seed", None, path) or 0,
        classes=_classes(content.get("classes") or {}, f"{path}: classes"),
        download=_downloads(content.get("download") or [], f"{path}: download"),
    )


def folder_card(folder: Path) -> Card:
    """The card of a bare folder (or one label file): its own splits, else a fifth for val."""
    whole = folder.resolve() if folder.name in ("", "..") else folder  # what `.` is called
    return Card(path=folder, root=folder, name=whole.stem if folder.is_file() else whole.name)


def _yolo_card(path: Path, content: dict[Any, Any]) -> Card:
    """YOLO's data.yaml as a card: it lies with its data, or its `path` says where they are.

    A relative path starts at the file, or, as Ultralytics takes it, at the current folder.
    """
    base = str(content.get("path") or "").replace("\\", "/")
    places = [Path(os.path.normpath(start / base)) for start in (path.parent, Path())]
    there = next((place for place in places if base and place.is_dir()), None)
    if there is None or there.resolve().is_relative_to(path.parent.resolve()):
        return Card(path=path, root=path.parent, name=path.absolute().parent.name, format="yolo")
    names = listed_names(content["names"])
    if names is None:
        raise DetectorError(f"{path}: names is no list and no map id: name")
    parts = {key: content[key] for key in ("train", "val", "test") if content.get(key)}
    return Card(
        path=path,
        root=there,
        name=path.stem,
        format="yolo",
        splits=_splits(parts, f"{path}"),
        classes=Classes(names=names),
    )


def _check_keys(content: dict[Any, Any], known: Collection[str], where: str) -> None:
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            raise DetectorError(f"{where}: unknown key '{key}'; {hint}")


def _place(text: str, card: Path, key: str) -> Path:
    """A path with ~, $NAME, ${NAME} and ${NAME:-otherwise}, relative to the card's folder.

    Backslashes, as Windows writes them, are slashes.
    """

    def value(found: re.Match[str]) -> str:
        name, otherwise = found["plain"] or found["braced"], found["otherwise"]
        if not os.environ.get(name) and otherwise is None:
            raise DetectorError(
                f"{card}: {key} '{text}' needs the environment variable {name}, which is not set"
            )
        return os.environ.get(name) or otherwise

    try:
        place = Path(_VARIABLE.sub(value, text).replace("\\", "/")).expanduser()
    except RuntimeError:  # ~somebody who is not here
        raise DetectorError(f"{card}: {key} '{text}' names an unknown user; write ~/...") from None
    return Path(os.path.normpath(card.parent / place))


def _text(value: Any, where: str) -> str:
    if (isinstance(value, str) and value.strip()) or isinstance(value, (int, float)):
        return str(value).strip()
    raise DetectorError(f"{where} is {str(value)[:60]!r}, expected text")


def _choice(value: Any, known: Collection[str], where: str) -> str:
    if value not in known:
        raise DetectorError(f"{where} is {str(value)[:60]!r}, expected one of {', '.join(known)}")
    return str(value)


def _number(
    content: dict[Any, Any], key: str, known: tuple[int, ...] | None, path: Path
) -> int | None:
    value = content.get(key)
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if value is None or (good and (known is None or value in known)):
        return value
    expected = " or ".join(map(str, known)) if known else "a whole number of at least 0"
    raise DetectorError(f"{path}: {key} is {str(value)[:60]!r}, expected {expected}")


def _fraction(value: Any, path: Path) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise DetectorError(f"{path}: val is {str(value)[:60]!r}, expected a share such as 0.2")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts, or one."""
    return tuple(_text(item, where) for item in (value if isinstance(value, list) else [value]))


def _splits(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise DetectorError(f"{where} is {str(value)[:60]!r}, expected train: ... and val: ...")
    _check_keys(value, ("train", "val", "test", "trainval"), where)
    return {
        name: tuple(text.replace("\\", "/") for text in _texts(sources, f"{where}: {name}"))
        for name, sources in value.items()
    }


def _classes(value: Any, where: str) -> Classes:
    """A list of names, or the four keys; `merge: {fruit: [apple, pear]}` is two renames."""
    if isinstance(value, list):
        value = {"names": value}
    if not isinstance(value, dict):
        raise DetectorError(f"{where} is {str(value)[:60]!r}, expected a list of names")
    _check_keys(value, _CLASS_KEYS, where)
    names = _texts(value.get("names") or [], f"{where}: names")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DetectorError(f"{where}: names has '{twice[0]}' twice; expected each once")
    rename: dict[str, str] = {}
    for key in ("rename", "merge"):
        if not isinstance(value.get(key) or {}, dict):
            raise DetectorError(f"{where}: {key} is {str(value[key])[:60]!r}, expected a map")
    for old, new in (value.get("rename") or {}).items():
        rename[_text(old, f"{where}: rename")] = _text(new, f"{where}: rename")
    for new, olds in (value.get("merge") or {}).items():
        rename |= dict.fromkeys(_texts(olds, f"{where}: merge"), _text(new, f"{where}: merge"))
    return Classes(names, rename, _texts(value.get("drop") or [], f"{where}: drop"))


def _downloads(value: Any, where: str) -> tuple[Download, ...]:
    found = []
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict) or "url" not in entry:
            raise DetectorError(f"{where}: {str(entry)[:60]!r} has no 'url'; expected a map")
        _check_keys(entry, _DOWNLOAD_KEYS, where)
        digest = _digest(entry, where)
        size = entry.get("size")
        if size is not None and not (isinstance(size, int) and size > 0):
            raise DetectorError(f"{where}: size is {str(size)[:60]!r}, expected bytes")
        to = _text(entry.get("to", "."), f"{where}: to")
        if Path(to).is_absolute() or ".." in Path(to).parts:
            raise DetectorError(f"{where}: to '{to}' leaves the root; expected a folder inside")
        url = _text(entry["url"], f"{where}: url")
        file = None if entry.get("file") is None else _text(entry["file"], f"{where}: file")
        try:
            file_name(url, file)
        except DetectorError as error:
            raise DetectorError(f"{where}: {error}") from None
        found.append(Download(url, digest, size, to, file))
    return tuple(found)


def _digest(entry: dict[Any, Any], where: str) -> str | None:
    """The checksum that a download has, the better one of two."""
    for key, count in _DIGITS.items():
        if entry.get(key) is not None:
            digest = str(entry[key]).lower()
            if not re.fullmatch(f"[0-9a-f]{{{count}}}", digest):
                raise DetectorError(f"{where}: {key} '{digest[:70]}' is not {count} hex digits")
            return digest
    return None
