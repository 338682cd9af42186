"""Label files of one picture each: which picture one means, and which pictures none means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detector.data.example import Box, Labelled, Problem
from detector.data.same_picture import the_one
from detector.data.tree import PictureIndex, Tree, nearest, split_path, split_unlabelled


@dataclass
class OwnLabels:
    """What was read so far. kind: how people call such a file; key: where it names its picture.

    spoilt: pictures, and whose labels for them cannot be used. Such a picture is left out: as a
    negative it would teach that nothing is there.
    """

    tree: Tree
    pictures: PictureIndex
    kind: str
    key: str
    problems: list[Problem] = field(default_factory=list)
    labelled: dict[Path, Labelled] = field(default_factory=dict)
    spoilt: dict[Path, str] = field(default_factory=dict)

    def refuse(self, label: Path, why: str, other: bool = False) -> None:
        """A file that cannot be read, or is of `other` format: then it may be nobody's."""
        where = self.tree.show(label)
        own = nearest(label, self.pictures.by_stem(label.stem))
        kind = "other-file" if other and not own else "bad-label-file"
        self.problems.append(Problem(kind, where, why, label))
        self.spoilt |= dict.fromkeys(own, where)

    def picture_of(self, label: Path, said: str) -> Path | None:
        """The picture a file means: of the same stem and nearest, else the one it names (`said`).

        The stem wins, because files get renamed and copied while what they say stays behind. None
        when there is none, or several that differ: those are then `spoilt`.
        """
        where = self.tree.show(label)
        same_stem = nearest(label, self.pictures.by_stem(label.stem))
        named = nearest(label, self.pictures.by_name(said)) if said else []
        found = [path for path in same_stem if path in named] or same_stem or named
        if not found:
            message = f"no picture '{label.stem}.*' nor '{said[:200]}' found; left out"
            self.problems.append(Problem("label-without-picture", where, message, label))
            return None
        if the_one(found) is None:
            message = f"may mean {len(found)} different pictures, such as {found[0]}; left out"
            self.problems.append(Problem("label-without-picture", where, message, label))
            self.spoilt |= dict.fromkeys(found, where)
            return None
        if len(found) > 1:
            message = f"{len(found)} pictures are equally near; took {found[0].name}"
            self.problems.append(Problem("duplicate-picture", where, message, found[0]))
        names = said.rpartition("/")[2], *split_path(said)[-1:]  # a name may hold a backslash
        if said and found[0].name not in names:
            message = f"{self.key} says '{said[:200]}', took {found[0].name}"
            self.problems.append(Problem("wrong-filename", where, message, found[0]))
        return found[0]

    def add(
        self,
        label: Path,
        picture: Path | None,
        boxes: Sequence[Box],
        size_wh: tuple[int, int] | None,
        drawn: bool,
    ) -> bool:
        """Take what a file says of its picture, and say whether it was taken.

        drawn: whether the file has objects, so that having no `boxes` means none could be read.
        """
        where = self.tree.show(label)
        if picture is None:
            return False
        if drawn and not boxes:
            self.spoilt[picture] = where
            return False
        if picture in self.labelled:
            first = self.labelled[picture].source
            message = f"means {picture.name}, as {first} does; only that one is used"
            self.problems.append(Problem("duplicate-picture", where, message, label))
            return False
        self.labelled[picture] = Labelled(picture, boxes, size_wh, where)
        return True

    def everything(self) -> list[Labelled]:
        """Labelled pictures and negatives; what was spoilt and what is not used become problems."""
        show = self.tree.show
        for path in [path for path in self.spoilt if path not in self.labelled]:
            message = f"{self.spoilt[path]} has no labels for it that can be read; left out"
            self.problems.append(Problem("picture-left-out", show(path), message, path))
        known = [*self.labelled, *self.spoilt]
        negatives, strangers = split_unlabelled(self.tree, self.pictures.pictures, known)
        for path in negatives:
            message = f"no {self.kind} means this picture; used as one without objects"
            self.problems.append(Problem("picture-without-label", show(path), message, path))
        for path in strangers:
            message = f"no {self.kind} means this picture or another of its folder; not used"
            self.problems.append(Problem("unlisted-picture", show(path), message, path))
        return [*self.labelled.values(), *(Labelled(path, (), None, "") for path in negatives)]
