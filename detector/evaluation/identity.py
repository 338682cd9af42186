"""Which numbers pictures and classes go by in files of COCO's format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detector.data.example import Dataset
from detector.data.tree import fold, read_text, split_path

Id = int | str


@dataclass(frozen=True)
class Identity:
    """images: the id of each example; categories: the id of each label. others: ids of pictures
    and classes that the label files know and this data leaves out (other splits, dropped classes).
    aliases: labels by further ids, where several classes of the files have one name or get one.
    numbered: why images and categories are 1, 2, 3, ... and not the ids of label files, or ''.
    ambiguous: whether there are such ids, but unfit to tell pictures and classes by.
    """

    images: tuple[Id, ...]
    categories: tuple[Id, ...]
    other_images: frozenset[Id] = frozenset()
    other_categories: frozenset[Id] = frozenset()
    aliases: Mapping[Id, int] = field(default_factory=dict)
    numbered: str = ""
    ambiguous: bool = False


def identify(data: Dataset, tables: Sequence[Path], new_names: dict[str, str]) -> Identity:
    """The ids of a COCO data set's own label files, so that others' results fit; else 1, 2, 3, ...

    tables: the label files. new_names: what a data card renames classes to. Where two files use an
    id for different pictures (Roboflow counts each split from 0), the file that labels all of them.
    """
    contents = [json.loads(read_text(table)) for table in tables]
    tried = [_own(data, some, new_names) for some in (contents, *([one] for one in contents))]
    found = [one for one in tried if isinstance(one, Identity)]
    if found:
        return found[0]
    why = "the labels bring no ids" if not tables else str(tried[0])
    images = tuple(range(1, len(data.examples) + 1))
    return Identity(
        images, tuple(range(1, len(data.class_names) + 1)), numbered=why, ambiguous=bool(tables)
    )


def _own(data: Dataset, contents: Sequence[Any], new_names: dict[str, str]) -> Identity | str:
    """The ids in the contents of label files; else what keeps them from being used."""
    files: dict[Id, str] = {}
    names: dict[Id, str] = {}
    for content in contents:
        for image_id, name in listed(content["images"], "file_name"):
            if files.setdefault(image_id, name) != name:
                both = f"{files[image_id]} and {name}"
                return f"the label files give the id {image_id} to both {both}"
        names.update(listed(content["categories"], "name"))
    by_name: dict[str, list[tuple[list[str], Id]]] = {}
    for image_id, file_name in files.items():
        parts = [fold(part) for part in split_path(file_name)]
        by_name.setdefault(parts[-1] if parts else "", []).append((parts, image_id))
    images = [_find(example.path, by_name) for example in data.examples]
    renamed = {new_names.get(name, name): key for key, name in names.items()}
    categories = [renamed.get(name) for name in data.class_names]
    if None in images:
        return f"no one picture is listed as {data.examples[images.index(None)].path.name}"
    if None in categories:
        return f"no category is called {data.class_names[categories.index(None)]}"
    own = tuple(i for i in images if i is not None), tuple(c for c in categories if c is not None)
    label_of = {name: label for label, name in enumerate(data.class_names)}
    labels = {key: label_of.get(new_names.get(name, name)) for key, name in names.items()}
    aliases = {key: k for key, k in labels.items() if k is not None and key not in own[1]}
    others = frozenset(key for key, label in labels.items() if label is None)
    return Identity(*own, frozenset(files) - set(own[0]), others, aliases)


def listed(entries: Iterable[Any], key: str) -> Iterator[tuple[Id, str]]:
    """(id, name under `key`) of the images or categories of a COCO json that have both."""
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("id"), (int, str)) and entry.get(key):
            yield entry["id"], str(entry[key]).strip()


def by_id(data: Dataset, identity: Identity) -> tuple[Dataset, Identity]:
    """Both in the order of the pictures' ids: so pycocotools ranks equal scores of two pictures."""
    if not all(isinstance(key, int) for key in identity.images):
        return data, identity
    order = sorted(range(len(identity.images)), key=identity.images.__getitem__)
    examples = tuple(data.examples[i] for i in order)
    images = tuple(identity.images[i] for i in order)
    return replace(data, examples=examples), replace(identity, images=images)


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
