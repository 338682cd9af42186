"""A COCO json as truth without its pictures: to judge a results file, nobody needs to open them."""

from __future__ import annotations

from pathlib import Path

from detector.data.account import counted
from detector.data.card import folder_card
from detector.data.coco import is_coco, read_coco
from detector.data.load import JudgedData
from detector.data.tree import PictureIndex, scan, scan_pictures, split_path
from detector.errors import DetectorError


class ListedPictures(PictureIndex):
    """The pictures there are, and for any other name a path where it might be."""

    def __init__(self, there: PictureIndex, folder: Path) -> None:
        super().__init__(there.pictures)
        self._folder = folder

    def by_name(self, name: str) -> list[Path]:
        """See `PictureIndex`; never empty."""
        return super().by_name(name) or [self._folder.joinpath(*split_path(name))]


def is_listing(place: Path) -> bool:
    """Whether it is a COCO json, and not a folder, a card or a table."""
    return place.suffix.lower() == ".json" and place.is_file() and is_coco(place)


def read_listing(place: Path) -> JudgedData:
    """Every picture that a COCO json lists, whether or not it is there.

    Raises DetectorError for a file that cannot be read and for one without a box to find.
    """
    tree = scan(place)
    pictures = ListedPictures(scan_pictures(tree), tree.root)
    dataset = read_coco(tree, place, pictures)
    if not dataset.class_counts().sum():
        odd = f" (the first problem: {dataset.problems[0]})" if dataset.problems else ""
        raise DetectorError(
            f"{place}: {counted(len(dataset.examples), 'picture')} but no ground truth, not one "
            f"box to find{odd}; expected annotations whose image_id and category_id are listed"
        )
    return JudgedData(dataset, "all", (place,), folder_card(place), whole=False)
