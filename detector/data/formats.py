"""One door to all formats: tell which one a folder has, read it whole or one of its splits."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detector.data.coco import is_coco, read_coco
from detector.data.csv_boxes import SUFFIXES, is_csv, read_csv
from detector.data.cvat import is_cvat, read_cvat, subset_splits
from detector.data.example import Dataset, concatenate
from detector.data.foreign import counted_suffixes, unread
from detector.data.labelme import is_labelme, read_labelme
from detector.data.split_sources import (
    Splits,
    file_splits,
    folder_splits,
    keep_folder,
    keep_listed,
    list_splits,
    split_of,
)
from detector.data.tree import PictureIndex, Tree, scan, scan_pictures
from detector.data.upright import turn_upright
from detector.data.voc import is_voc, read_voc
from detector.data.yolo import has_blank_labels, head_of, is_yolo, read_yolo
from detector.errors import DetectorError

FORMATS = ("voc", "coco", "yolo", "csv", "labelme", "cvat")
_EXPECTED = (
    "expected VOC XML, a COCO json, YOLO text labels with their pictures, a CSV, LabelMe json or "
    "CVAT XML (datasets/README.md shows each)"
)


@dataclass(frozen=True)
class Folder:
    """A data set folder looked at once: its files, pictures and format ('voc', 'coco', ...)."""

    tree: Tree
    pictures: PictureIndex
    format: str
    first_pixel: int | None = None


def read(
    root: str | Path,
    format: str = "auto",
    split: str | None = None,
    *,
    images: str | Path | None = None,
    first_pixel: int | None = None,
) -> Dataset:
    """All pictures of a data set, or one of its own splits ('train', 'val', 'test', 'trainval').

    root: a folder, or one COCO json, CSV or CVAT XML. images: where the pictures are when neither
    under root nor in an `images` folder beside or above it. first_pixel: see `voc`.
    Raises DetectorError for a folder that is empty, ambiguous or has no such split.
    """
    folder = open_folder(Path(root), format, images, first_pixel)
    if split is None:
        return read_all(folder)
    splits = find_splits(folder)
    if split not in splits:
        have = ", ".join(sorted(splits)) or "none"
        raise DetectorError(
            f"{root}: no split '{split}' (splits here: {have}); expected {split}.txt, a folder "
            f"{split}/ or a label file named after it"
        )
    return read_splits(folder, {split: splits[split]})[split]


def open_folder(
    root: Path,
    format: str = "auto",
    images: str | Path | None = None,
    first_pixel: int | None = None,
) -> Folder:
    """Look at a folder and tell its format. Raises DetectorError as `read` does."""
    if format not in ("auto", *FORMATS):
        raise DetectorError(f"format '{format}' is unknown; expected auto, {', '.join(FORMATS)}")
    tree = scan(root)
    pictures = scan_pictures(tree, None if images is None else Path(images))
    found = _formats(tree, pictures) if format == "auto" else {format: ""}
    if not found:
        have = "in this file" if tree.main else counted_suffixes(tree.files)
        why = f"{known}; " if (known := unread(tree, pictures)) else ""
        raise DetectorError(f"{root}: no labels found ({have}); {why}{_EXPECTED}")
    if not pictures.pictures:
        raise DetectorError(
            f"{root}: labels but no pictures, here or in an images folder beside or above it; "
            "put the pictures there or name their folder: images: in a data card"
        )
    if len(found) > 1:
        seen = ", ".join(f"{name} ({example})" for name, example in found.items())
        raise DetectorError(
            f"{root}: labels in {len(found)} formats: {seen}; expected one: choose it with "
            "format: in a data card, or name the folder of one format"
        )
    return Folder(tree, pictures, next(iter(found)), first_pixel)


def _formats(tree: Tree, pictures: PictureIndex) -> dict[str, str]:
    """The formats a tree has labels of, each with an example file.

    A CSV counts only when nothing else does: beside XML it is a table made from it. So do LabelMe's
    and CVAT's files: beside another format they are what that was exported from.
    """
    if tree.main is not None:
        files: Sequence[Path] = (tree.main,)
        tests = {"coco": is_coco, "csv": is_csv, "cvat": is_cvat}
        return {name: tree.main.name for name, is_it in tests.items() if is_it(files[0])}
    found = {}
    for name, suffix, is_it in (
        ("voc", ".xml", is_voc),
        ("coco", ".json", is_coco),
    ):
        if first := next(filter(is_it, tree.having(suffix)), None):
            found[name] = tree.show(first)
    if is_yolo(tree, pictures):
        found["yolo"] = "text files named like pictures"
    if not found:
        for name, suffix, is_it in (
            ("labelme", ".json", is_labelme),
            ("cvat", ".xml", is_cvat),
        ):
            if first := next(filter(is_it, tree.having(suffix)), None):
                found[name] = tree.show(first)
    if not found and has_blank_labels(tree, pictures):
        found["yolo"] = "empty text files named like pictures"
    if not found and (table := next((p for p in tree.having(*SUFFIXES) if is_csv(p)), None)):
        found["csv"] = tree.show(table)
    return found


def find_splits(folder: Folder) -> Splits:
    """The splits a folder brings: what data.yaml says, lists, label files by name, folders."""
    tree = folder.tree
    splits = {} if tree.main else folder_splits(tree, folder.pictures.pictures)
    if folder.format in ("coco", "csv", "cvat") and tree.main is None:
        splits |= file_splits(label_tables(tree, folder.format))
    splits |= list_splits(tree)
    if folder.format == "yolo":
        splits |= head_of(tree, folder.pictures).splits
    if folder.format == "cvat" and not splits:
        splits = subset_splits(label_tables(tree, "cvat"))
    return splits


def read_all(folder: Folder) -> Dataset:
    """Every picture of a folder. Raises DetectorError when two files of boxes disagree."""
    tree, pictures = folder.tree, folder.pictures
    if folder.format == "voc":
        return turn_upright(read_voc(tree, pictures, folder.first_pixel), tree)
    if folder.format == "yolo":
        return read_yolo(tree, pictures)
    if folder.format == "labelme":
        return turn_upright(read_labelme(tree, pictures), tree)
    tables = label_tables(tree, folder.format)
    if folder.format == "csv" and len(tables) > 1:
        # `all.csv` beside `train.csv` and `test.csv`: the parts repeat the whole.
        tables = [path for path in tables if split_of(path.stem) is None] or tables
    if not tables:
        raise DetectorError(f"{tree.root}: no {folder.format} labels found; {_EXPECTED}")
    return _merge(tree, tables, [_read_table(folder, path) for path in tables])


def label_tables(tree: Tree, format: str) -> list[Path]:
    """The files of many pictures with boxes; of COCO's own, `instances` alone has those we want."""
    if tree.main is not None:
        return [tree.main]
    if format == "csv":
        return [path for path in tree.having(*SUFFIXES) if is_csv(path)]
    if format == "cvat":
        return [path for path in tree.having(".xml") if is_cvat(path)]
    found = [path for path in tree.having(".json") if is_coco(path)]
    return [path for path in found if path.stem.startswith("instances_")] or found


def _read_table(folder: Folder, path: Path) -> Dataset:
    tree, pictures = folder.tree, folder.pictures
    if folder.format == "cvat":
        # A subset is named as if it lay in its file, `annotations.xml/Train`.
        file, subset = (path.parent, path.name) if path.parent.is_file() else (path, None)
        return turn_upright(read_cvat(tree, file, pictures, subset), tree)
    reader = read_csv if folder.format == "csv" else read_coco
    return turn_upright(reader(tree, path, pictures), tree)


def _is_table(source: Path) -> bool:
    """Whether a source of a split is a label file, or a subset in one, and no list or folder."""
    return source.suffix.lower() in (".json", ".xml", *SUFFIXES) or source.parent.is_file()


def _merge(tree: Tree, tables: Sequence[Path], parts: Sequence[Dataset]) -> Dataset:
    """Several label files as one. Raises DetectorError when two label the same picture."""
    owner: dict[Path, Path] = {}
    for table, part in zip(tables, parts, strict=True):
        for example in part.examples:
            other = owner.setdefault(example.path, table)
            if other != table:
                raise DetectorError(
                    f"{tree.root}: {tree.show(other)} and {tree.show(table)} both label "
                    f"{example.path.name}; expected one: name it instead of the folder"
                )
    return _without_unlisted(concatenate(parts), owner)


def _without_unlisted(part: Dataset, used: Container[Path]) -> Dataset:
    """Without the word that pictures are not used that another label file has."""
    problems = tuple(p for p in part.problems if p.kind != "unlisted-picture" or p.path not in used)
    return replace(part, problems=problems)


def read_splits(folder: Folder, splits: Splits, whole: Dataset | None = None) -> dict[str, Dataset]:
    """The pictures that lists, subfolders or label files name, in this order, split by split.

    Lists and subfolders choose from the whole folder, which is read once, so their class names are
    the whole folder's. whole: that, where it has been read. Raises DetectorError for a source that
    is none of these.
    """
    found = {}
    for name, sources in splits.items():
        parts = []
        for source in sources:
            if _is_table(source):
                parts.append(_read_table(folder, source))
            else:
                whole = whole or read_all(folder)
                parts.append(_choose(whole, source))
        found[name] = concatenate(parts)
    used = {example.path for part in found.values() for example in part.examples}
    return {name: _without_unlisted(part, used) for name, part in found.items()}


def _choose(whole: Dataset, source: Path) -> Dataset:
    if source.is_dir():
        return keep_folder(whole, source)
    try:
        return keep_listed(whole, source)
    except ValueError as error:
        raise DetectorError(f"{source}: {error}; expected a list of pictures") from None
