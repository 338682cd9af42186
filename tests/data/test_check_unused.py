"""Labels that nothing uses are told of: the person who drew them thinks they count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.data.check.report import check

MakePicture, MakeText = Callable[..., Path], Callable[..., Path]


def unused(root: Path) -> list[str]:
    return [f.where for f in check(root).findings if f.kind == "in-no-split"]


@pytest.mark.parametrize("listed", [True, False])
def test_pictures_that_lists_or_folders_leave_out(
    tmp_path: Path, picture: MakePicture, text: MakeText, voc_xml: Callable[..., str], listed: bool
) -> None:
    for folder in ("train", "val", "more"):
        for i in range(2):
            picture(f"{folder}/{folder}{i}.jpg")
            text(f"{folder}/{folder}{i}.xml", voc_xml(("cat", 5, 5, 40, 30)))
    if listed:
        text("train.txt", "train0\nmore0\n")
        text("val.txt", "val0\n")
    expected = (
        ["more/more1", "train/train1", "val/val1"] if listed else ["more/more0", "more/more1"]
    )
    assert unused(tmp_path) == [f"{name}.jpg" for name in expected]


def test_pictures_of_a_table_that_is_no_split(
    tmp_path: Path, picture: MakePicture, text: MakeText
) -> None:
    def table(split: str) -> str:
        picture(f"images/{split}.jpg")
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 20]}
        images = [{"id": 1, "file_name": f"{split}.jpg", "width": 64, "height": 48}]
        categories = [{"id": 1, "name": "cat"}]
        return json.dumps({"images": images, "annotations": [box], "categories": categories})

    for split in ("train", "val"):
        text(f"{split}.json", table(split))
    assert unused(tmp_path) == []
    text("more.json", table("more"))
    assert unused(tmp_path) == ["images/more.jpg"]
