"""Which list of class names counts for which YOLO labels, where a data set has several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.data.example import Problem
from detector.data.tree import Tree, nearest, read_text
from detector.errors import DetectorError

_NAME_FILES = frozenset(
    {"classes.txt", "labels.txt", "obj.names", "names.txt", "class.names", "_darknet.labels"}
)


@dataclass(frozen=True)
class ClassList:
    """The file that names classes, and the names by class id."""

    path: Path
    names: tuple[str, ...]


def name_files(tree: Tree) -> list[Path]:
    """Plain lists of class names, one a line."""
    by_name = [p for p in tree.files if p.name.lower() in _NAME_FILES]
    return by_name + [p for p in tree.having(".names") if p not in by_name]


def plain_lists(tree: Tree, problems: list[Problem]) -> list[ClassList]:
    """The lists of `name_files`; a blank line between names is a class called by its number."""
    found = []
    for path in name_files(tree):
        try:
            lines = read_text(path).rstrip().splitlines()
        except ValueError as error:
            problems.append(Problem("bad-label-file", tree.show(path), str(error), path))
            continue
        for number, line in enumerate(lines):
            if not line.strip():
                message = f"is blank, so class {number} has no name; it is called '{number}'"
                place = f"{tree.show(path)}, line {number + 1}"
                problems.append(Problem("class-names", place, message))
        names = (line.strip() or str(number) for number, line in enumerate(lines))
        found.append(ClassList(path, tuple(names)))
    return found


def choose_list(
    folder: Path, yamls: Sequence[ClassList], plain: Sequence[ClassList], tree: Tree
) -> tuple[ClassList | None, list[Problem]]:
    """The list that counts for the labels in a folder, and what others in reach say against it.

    A data.yaml comes before plain lists, the shallowest above the labels before others. Of plain
    lists the one in the folder counts, else the next above, else the nearest. Raises DetectorError
    where several are equally near and call a class differently.
    """
    above = [one for one in yamls if folder.is_relative_to(one.path.parent)]
    reach = [*(above or yamls[:1]), *_near(folder, plain)]
    if not reach:
        return None, []
    chosen, *others = reach
    problems = []
    for other in others:
        said = _contradiction(chosen, other, tree)
        if said and chosen in plain and not folder.is_relative_to(chosen.path.parent):
            raise DetectorError(
                f"{tree.root}: {said}, and neither is nearer to {tree.show(folder)}; put the list "
                "that is right beside its labels"
            )
        if said:
            message = f"{said}; {tree.show(chosen.path)} counts for {tree.show(folder)}/"
            problems.append(Problem("other-names", tree.show(other.path), message))
    return chosen, problems


def _near(folder: Path, plain: Sequence[ClassList]) -> list[ClassList]:
    """Lists in the folder and above it, the nearest first; where none is, those nearest to it."""
    above = [one for one in plain if folder.is_relative_to(one.path.parent)]
    if above:
        return sorted(above, key=lambda one: -len(one.path.parts))
    paths = nearest(folder / "label", [one.path for one in plain]) if plain else []
    return [one for one in plain if one.path in paths]


def _contradiction(one: ClassList, other: ClassList, tree: Tree) -> str:
    """The first class that two lists call differently; "" when one merely goes on further."""
    for number, (a, b) in enumerate(zip(one.names, other.names, strict=False)):
        if a != b:
            files = f"in {tree.show(one.path)} and '{b}' in {tree.show(other.path)}"
            return f"class {number} is '{a}' {files}"
    return ""


def joined(lists: Iterable[ClassList]) -> tuple[str, ...]:
    """The names of all lists, each once, in the order first met."""
    return tuple(dict.fromkeys(name for one in lists for name in one.names))
