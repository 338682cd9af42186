"""Which numbers pictures and classes go by in files of COCO's format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detector.data.example import Dataset
from detector.data.tree import fold, read_text, split_path

Id = int | str


@dataclass(frozen=True)
class Identity:
    """images: the id of each example; categories: the id of each label. others: ids of pictures
    and classes that the label files know and this data leaves out (other splits, dropped classes).
    """

    images: tuple[Id, ...]
    categories: tuple[Id, ...]
    other_images: frozenset[Id] = frozenset()
    other_categories: frozenset[Id] = frozenset()


def identify(data: Dataset, tables: Sequence[Path], new_names: dict[str, str]) -> Identity:
    """The ids of a COCO data set's own label files, so that others' results fit; else 1, 2, 3, ...

    tables: the label files. new_names: what a data card renames classes to. Numbers are also given
    where two files use the same id for different pictures.
    """
    numbered = Identity(
        tuple(range(1, len(data.examples) + 1)), tuple(range(1, len(data.class_names) + 1))
    )
    contents = [json.loads(read_text(table)) for table in tables]
    files: dict[Id, str] = {}
    names: dict[Id, str] = {}
    for content in contents:
        for image in content["images"]:
            if files.setdefault(image["id"], image["file_name"]) != image["file_name"]:
                return numbered
        for category in content["categories"]:
            names[category["id"]] = str(category["name"]).strip()
    by_name: dict[str, list[tuple[list[str], Id]]] = {}
    for image_id, file_name in files.items():
        parts = [fold(part) for part in split_path(file_name)]
        by_name.setdefault(parts[-1] if parts else "", []).append((parts, image_id))
    images = [_find(example.path, by_name) for example in data.examples]
    renamed = {new_names.get(name, name): key for key, name in names.items()}
    categories = [renamed.get(name) for name in data.class_names]
    if not tables or None in images or None in categories:
        return numbered
    own = tuple(i for i in images if i is not None), tuple(c for c in categories if c is not None)
    return Identity(*own, frozenset(files) - set(own[0]), frozenset(names) - set(own[1]))


def kept(identity: Identity, data: Dataset, paths: Sequence[Path]) -> Identity:
    """The identity of those examples alone whose pictures were measured."""
    id_of = {e.path: key for e, key in zip(data.examples, identity.images, strict=True)}
    return replace(identity, images=tuple(id_of[path] for path in paths))


def _find(path: Path, by_name: dict[str, list[tuple[list[str], Id]]]) -> Id | None:
    """The id of the listed file that `path` ends with, or the only one of its name."""
    listed = by_name.get(fold(path.name), [])
    folders = [fold(part) for part in path.parts]
    ends = [key for parts, key in listed if folders[-len(parts) :] == parts]
    found = ends or [key for _, key in listed]
    return found[0] if len(found) == 1 else None
