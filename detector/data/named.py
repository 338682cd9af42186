"""Label files of many pictures: which picture a name in one means, and which it does not name."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from detector.data.example import Problem
from detector.data.same_picture import the_one
from detector.data.split_sources import split_of
from detector.data.tree import PictureIndex, Tree, nearest


def named_picture(
    name: str, label: Path, pictures: PictureIndex, place: str, problems: list[Problem]
) -> Path | str:
    """The picture that the file `label` means by a name, or why there is none."""
    found = nearest(label, pictures.by_name(name))
    shown = " ".join(name.split())[:200]  # a lost quote may have made many lines of it
    if not found:
        return f"picture '{shown}' not found"
    picture = the_one(found)
    if picture is None:
        found = _of_split(label, found) or found
        picture = the_one(found)
    if picture is None:
        return f"'{shown}' fits {len(found)} different pictures, write the folder"
    if len(found) > 1:
        message = f"{len(found)} pictures fit '{shown}'; took {picture}"
        problems.append(Problem("duplicate-picture", place, message, picture))
    return picture


def _of_split(label: Path, found: Sequence[Path]) -> list[Path]:
    """Of equally near pictures those in a folder of the split a label file is called after.

    `annotations/train.json` means `train/1.jpg`, not `val/1.jpg`.
    """
    split = split_of(label.stem)
    shared = len(Path(os.path.commonpath(found)).parts)
    return [p for p in found if split and split in map(split_of, p.parts[shared:-1])]


def unlisted(
    known: Collection[Path], pictures: PictureIndex, tree: Tree, message: str
) -> list[Problem]:
    """Pictures in the folders of known ones that are not known, each with the message."""
    folders = {picture.parent for picture in known}
    return [
        Problem("unlisted-picture", tree.show(picture), message, picture)
        for picture in pictures.pictures
        if picture.parent in folders and picture not in known
    ]
