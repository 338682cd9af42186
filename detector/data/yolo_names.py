"""What YOLO's data.yaml, classes.txt and darknet's files say: class names and where splits are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from detector.data.example import Problem
from detector.data.tree import Tree, fold, read_text, split_path

_NAME_FILES = frozenset({"classes.txt", "labels.txt", "obj.names", "names.txt", "class.names"})
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class YoloHead:
    """names: by class id, None when nothing tells. splits: folders or lists that exist.

    keypoints: rows go on with key points after the box instead of being polygons.
    """

    names: tuple[str, ...] | None = None
    splits: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    keypoints: bool = False
    problems: tuple[Problem, ...] = ()


def name_files(tree: Tree) -> list[Path]:
    """Plain lists of class names, one a line."""
    by_name = [p for p in tree.files if p.name.lower() in _NAME_FILES]
    return by_name + [p for p in tree.having(".names") if p not in by_name]


def yaml_heads(tree: Tree) -> list[tuple[Path, dict[Any, Any]]]:
    """Files at most two folders deep that are YAML maps with `names`, the shallowest first."""
    found = []
    files = (p for p in tree.having(".yaml", ".yml") if len(p.relative_to(tree.root).parts) <= 2)
    for path in sorted(files, key=lambda p: (len(p.parts), p)):
        try:
            content = load_yaml(read_text(path))
        except ValueError:
            continue
        if isinstance(content, dict) and "names" in content and "root" not in content:
            found.append((path, content))
    return found


def load_yaml(text: str) -> Any:
    """YAML without tags that build objects. Raises ValueError, in one line, when malformed."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"is not YAML ({line[:200]})") from None


def read_head(tree: Tree) -> YoloHead:
    """Names from data.yaml, else from a list of names; splits from data.yaml."""
    heads = yaml_heads(tree)
    if heads:
        return _from_yaml(tree, *heads[0])
    for path in name_files(tree):
        try:
            lines = read_text(path).splitlines()
        except ValueError as error:
            problem = Problem("bad-label-file", tree.show(path), str(error), path)
            return YoloHead(problems=(problem,))
        names = [line.strip() for line in lines]
        while names and not names[-1]:
            names.pop()
        return YoloHead(tuple(names))
    return YoloHead()


def _from_yaml(tree: Tree, path: Path, content: dict[Any, Any]) -> YoloHead:
    problems: list[Problem] = []
    where = tree.show(path)
    names = _names(content["names"])
    if names is None:
        message = f"names is {str(content['names'])[:60]}, expected a list or a map id: name"
        problems.append(Problem("class-names", where, message))
    elif "nc" in content and str(content["nc"]) != str(len(names)):
        message = f"nc says {str(content['nc'])[:20]} classes, names has {len(names)}; names counts"
        problems.append(Problem("class-names", where, message))
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
            problems.append(Problem("split", where, message))
        if kept := tuple(place for place in found if place is not None):
            splits[split] = kept
    return YoloHead(names, splits, "kpt_shape" in content, tuple(problems))


def _names(value: Any) -> tuple[str, ...] | None:
    """A list, or a map from id to name (a hole is named by its number)."""
    if isinstance(value, list):
        return tuple(str(name).strip() for name in value)
    if not isinstance(value, dict):
        return None
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
