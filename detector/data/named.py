"""Label files of many pictures: which picture a name in one means, and which it does not name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from detector.data.example import Problem
from detector.data.tree import PictureIndex, Tree, nearest, the_one


def named_picture(
    name: str, label: Path, pictures: PictureIndex, place: str, problems: list[Problem]
) -> Path | str:
    """The picture that the file `label` means by a name, or why there is none."""
    found = nearest(label, pictures.by_name(name))
    if not found:
        return f"picture '{name[:200]}' not found"
    picture = the_one(found)
    if picture is None:
        return f"'{name[:200]}' fits {len(found)} different pictures, write the folder"
    if len(found) > 1:
        message = f"{len(found)} pictures fit '{name[:200]}'; took {picture}"
        problems.append(Problem("duplicate-picture", place, message, picture))
    return picture


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
