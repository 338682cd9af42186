"""What YOLO's data.yaml, classes.txt and darknet's files say: class names and where splits are."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from detector.data.class_lists import ClassList, choose_list, joined, plain_lists
from detector.data.example import Problem
from detector.data.tree import Tree, fold, read_text, split_path

_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_HEADS = ("data", "dataset")


@dataclass(frozen=True)
class YoloHead:
    """names: of all classes, None when nothing tells. splits: folders or lists that exist.

    lists: for a folder of labels its own names by class id. keypoints: rows go on with key points
    after the box instead of being polygons.
    """

    names: tuple[str, ...] | None = None
    lists: dict[Path, ClassList | None] = field(default_factory=dict)
    splits: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    keypoints: bool = False
    problems: tuple[Problem, ...] = ()

    def names_for(self, label: Path) -> tuple[str, ...] | None:
        """The names that count for a label file, by class id."""
        found = self.lists.get(label.parent)
        return None if found is None else found.names


def yaml_heads(
    tree: Tree, problems: list[Problem] | None = None
) -> list[tuple[Path, dict[Any, Any]]]:
    """Files at most three folders deep that are YAML maps with `names`, the shallowest first.

    problems: gets those whose own name says that they should be.
    """
    found = []
    files = (p for p in tree.having(".yaml", ".yml") if len(p.relative_to(tree.root).parts) <= 4)
    for path in sorted(files, key=lambda p: (len(p.parts), p)):
        try:
            content = load_yaml(read_text(path))
        except ValueError as error:
            if problems is not None and path.stem.lower() in _HEADS:
                problems.append(Problem("bad-label-file", tree.show(path), f"{error}", path))
            continue
        if isinstance(content, dict) and "names" in content and "root" not in content:
            found.append((path, content))
    return found


class _Plain(yaml.SafeLoader):
    """YAML without tags that build objects, where `no` is a word (a class, maybe) and no falsehood.

    A key that is given twice is an error: the first would be lost without a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The map of a node, its keys checked."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"'{twice[0][:80]}' is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_Plain.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:bool"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str) -> Any:
    """YAML as plain values. Raises ValueError, in one line, when malformed."""
    try:
        return yaml.load(text, _Plain)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"is not YAML ({line[:200]})") from None


def read_head(tree: Tree, folders: Iterable[Path]) -> YoloHead:
    """Names for the labels in some folders, from data.yaml, else from lists of names; splits.

    Raises DetectorError where lists contradict each other and none is nearer.
    """
    problems: list[Problem] = []
    heads = yaml_heads(tree, problems)
    above = [h for h in heads if any(folder.is_relative_to(h[0].parent) for folder in folders)]
    lists: list[ClassList] = []
    splits: dict[str, tuple[Path, ...]] = {}
    met: set[Path] = set()
    for path, content in above or heads[:1]:
        said: list[Problem] = []
        names = _yaml_names(tree, path, content, said)
        if names is not None:
            lists.append(ClassList(path, names))
        # One below or beside another's is a copy, or of another program.
        if not met.intersection(path.parents):
            for split, places in _yaml_splits(tree, path, content, said).items():
                splits[split] = (*splits.get(split, ()), *places)
            problems += said
        met.add(path.parent)
    plain = plain_lists(tree, problems)
    chosen: dict[Path, ClassList | None] = {}
    for folder in sorted(folders):
        chosen[folder], said = choose_list(folder, lists, plain, tree)
        problems += said
    used = [one for one in (chosen.values() or [*lists, *plain][:1]) if one is not None]
    keypoints = any("kpt_shape" in content for _, content in above or heads[:1])
    once = tuple(dict.fromkeys(problems))
    return YoloHead(joined(used) if used else None, chosen, splits, keypoints, once)


def _yaml_names(
    tree: Tree, path: Path, content: dict[Any, Any], problems: list[Problem]
) -> tuple[str, ...] | None:
    where = tree.show(path)
    names = listed_names(content["names"])
    if names is None:
        message = (
            f"names is {reprlib.repr(content['names'])[:60]}, expected a list or a map id: name"
        )
        problems.append(Problem("class-names", where, message))
    elif "nc" in content and str(content["nc"]) != str(len(names)):
        message = f"nc says {str(content['nc'])[:20]} classes, names has {len(names)}; names counts"
        problems.append(Problem("class-names", where, message))
    return names


def _yaml_splits(
    tree: Tree, path: Path, content: dict[Any, Any], problems: list[Problem]
) -> dict[str, tuple[Path, ...]]:
    base = str(content.get("path") or "")
    splits: dict[str, tuple[Path, ...]] = {}
    for key, value in content.items():
        split = _SPLIT_KEYS.get(str(key))
        entries = value if isinstance(value, list) else [value]
        if split is None or not value:
            continue
        found = [_place(path.parent, base, str(entry)) for entry in entries]
        if None in found:
            message = f"{key}: '{str(value)[:200]}' is not here; the folders are looked at instead"
            problems.append(Problem("split", tree.show(path), message))
        if kept := tuple(place for place in found if place is not None):
            splits[split] = kept
    return splits


def listed_names(value: Any) -> tuple[str, ...] | None:
    """A list, or a map from id to name (a hole is named by its number)."""
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (list, dict)) or any(isinstance(one, (list, dict)) for one in items):
        return None
    if isinstance(value, list):
        return tuple(str(name).strip() for name in value)
    by_id = {int(k): str(v).strip() for k, v in value.items() if str(k).isdecimal()}
    if len(by_id) != len(value) or max(by_id, default=0) > 100_000:
        return None
    return tuple(by_id.get(i, str(i)) for i in range(max(by_id, default=-1) + 1))


def _place(folder: Path, base: str, entry: str) -> Path | None:
    """A path of data.yaml on this machine: as it stands, else its longest tail that exists here.

    Exporters write `../train/images` or the whole path on somebody else's disk. A tail of one part
    must be the whole entry: `images` alone would hide that `train/images` is missing.
    """
    try:
        for candidate in (folder / base / entry, folder / entry):
            if candidate.exists() and candidate.resolve().is_relative_to(folder.resolve()):
                return candidate
        parts = split_path(entry)
        for start in range(len(parts)):
            tail = parts[start:]
            if len(tail) == 1 and len(parts) > 1 and fold(tail[0]) in ("images", "labels"):
                return None
            if folder.joinpath(*tail).exists():
                return folder.joinpath(*tail)
    except (OSError, ValueError):  # a null byte or an overlong name
        return None
    return None
