"""Each fault, planted in a clean data set, is reported as itself and as nothing else."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detector.data.check.finding import KINDS, by_kind
from detector.data.check.page import as_page
from detector.data.check.report import Report, check
from detector.data.check.text import as_json, as_text
from detector.errors import DetectorError

Boxes = list[tuple[object, ...]]
GOOD: Boxes = [("cat", 8, 12, 88, 92), ("cat", 100, 20, 170, 110)]


class Toy:
    """A clean VOC folder: 16 pictures in train, 4 in val, two boxes in each; then edited."""

    def __init__(self, root: Path, voc_xml: Callable[..., str]) -> None:
        self.root, self._voc_xml = root, voc_xml
        for split, count in (("train", 16), ("val", 4)):
            names = [f"{split}{i}" for i in range(count)]
            for name in names:
                self.picture(f"{name}.jpg")
                self.label(name, *GOOD)
            (root / f"{split}.txt").write_text("\n".join(names))

    def picture(self, name: str, seed: int | None = None) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(name.encode()) if seed is None else seed)
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return path

    def label(self, name: str, *boxes: tuple[object, ...], **options: object) -> None:
        options.setdefault("size", (200, 150))
        (self.root / f"{name}.xml").write_text(self._voc_xml(*boxes, **options))

    def add(self, name: str) -> None:
        with (self.root / "train.txt").open("a") as file:
            file.write(f"\n{name}")


@pytest.fixture
def toy(tmp_path: Path, voc_xml: Callable[..., str]) -> Toy:
    return Toy(tmp_path / "toy", voc_xml)


def kinds(report: Report) -> Counter[str]:
    return Counter(finding.kind for finding in report.findings)


def test_a_clean_set_has_no_findings(toy: Toy) -> None:
    report = check(toy.root)
    assert not report.findings, report.findings
    assert report.errors == 0
    assert "nothing odd found" in list(as_text(report))


def second_box(*box: object) -> Callable[[Toy], None]:
    """Replaces the second box of train0."""
    return lambda toy: toy.label("train0", GOOD[0], box)


def extra_box(*box: object) -> Callable[[Toy], None]:
    """Adds a box to train0."""
    return lambda toy: toy.label("train0", *GOOD, box)


def cut(toy: Toy) -> None:
    path = toy.root / "train3.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def damage(toy: Toy) -> None:
    path = toy.root / "train3.jpg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    path.write_bytes(data)


def garbage(toy: Toy) -> None:
    (toy.root / "train3.jpg").write_bytes(b"no picture at all")


def png_called_jpg(toy: Toy) -> None:
    toy.picture("x.png", seed=7).rename(toy.root / "train3.jpg")


def no_picture(toy: Toy) -> None:
    toy.label("stray", *GOOD)


def no_label(toy: Toy) -> None:
    toy.picture("extra.jpg")
    toy.add("extra")


def broken_xml(toy: Toy) -> None:
    toy.picture("extra.jpg")
    (toy.root / "extra.xml").write_text("<annotation><object>")


def empty_names(toy: Toy) -> None:
    toy.picture("extra.jpg")
    toy.label("extra", ("", 8, 12, 88, 92))


def turned(toy: Toy) -> None:
    path = toy.root / "train3.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(path).convert("RGB").save(path, exif=exif, quality=95)


def quarter_turned(toy: Toy) -> None:
    path = toy.root / "train3.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).convert("RGB").save(path, exif=exif, quality=95)
    toy.label("train3", ("cat", 20, 20, 100, 120))  # drawn on the picture as stored


def copied(source: str, target: str) -> Callable[[Toy], None]:
    return lambda toy: (shutil.copy(toy.root / source, toy.root / target), None)[1]


def recompressed(source: str, target: str) -> Callable[[Toy], None]:
    def plant(toy: Toy) -> None:
        image = cv2.imread(str(toy.root / source))
        cv2.imwrite(str(toy.root / target), image, [cv2.IMWRITE_JPEG_QUALITY, 50])

    return plant


def rare_class(toy: Toy) -> None:
    for i in range(5):
        toy.label(f"train{i}", *GOOD, ("dog", 60, 90, 120, 148))


def uneven(toy: Toy) -> None:
    cats = [("cat", x, y, x + 38, y + 42) for x in range(0, 161, 40) for y in (1, 50, 100)]
    for i in range(16):
        toy.label(f"train{i}", *cats, *[("dog", 60, 60, 130, 130)] * (i < 10))


def plural(toy: Toy) -> None:
    for i in range(10):
        toy.label(f"train{i}", GOOD[0], ("Cats", 100, 20, 170, 110))


def unknown_entry(toy: Toy) -> None:
    toy.add("no-such-picture")


def devkit_from_zero(toy: Toy) -> None:
    """The VOCdevkit layout, where a box begins at 0."""
    for kind, suffix in (
        ("Annotations", ".xml"),
        ("JPEGImages", ".jpg"),
        ("ImageSets/Main", ".txt"),
    ):
        (toy.root / kind).mkdir(parents=True)
        for path in list(toy.root.glob(f"*{suffix}")):
            path.rename(toy.root / kind / path.name)
    toy.label("Annotations/train0", GOOD[0], ("cat", 0, 20, 70, 110))


def thin_boxes(toy: Toy) -> None:
    for i in range(16):
        toy.label(f"train{i}", ("cat", 2, 8 + i, 190, 18 + i), ("cat", 4 + i, 30, 12 + i, 140))


def starts_at_one(toy: Toy) -> None:
    for i in range(3):
        toy.label(f"train{i}", ("cat", 1, 12, 88, 92), GOOD[1])


def other_xml(toy: Toy) -> None:
    (toy.root / "annotations.xml").write_text("<annotations></annotations>")


def crowd(toy: Toy) -> None:
    """101 boxes, some of which are near each other but none the same."""
    boxes = [("cat", x, y, x + 15, y + 18) for x in range(2, 180, 13) for y in range(2, 130, 16)]
    toy.label("train0", *boxes[:101])


FAULTS: dict[str, list[Callable[[Toy], None]]] = {
    "truncated": [cut],
    "unreadable": [garbage],
    "damaged": [damage],
    "misnamed": [png_called_jpg],
    "label-without-picture": [no_picture],
    "negative": [no_label],
    "bad-label-file": [broken_xml],
    "left-out": [empty_names],
    "bad-box": [extra_box("cat", "left", 2, 3, 4)],
    "zero-size-box": [extra_box("cat", 40, 30, 40, 90), extra_box("cat", 40, 30, 90, 30)],
    "inverted-box": [extra_box("cat", 90, 90, 40, 30), extra_box("cat", 40, 90, 90, 30)],
    "box-off-picture": [extra_box("cat", 210, 30, 260, 90), extra_box("cat", 9, -50, 60, -2)],
    "box-outside": [second_box("cat", 100, 20, 204, 110), second_box("cat", 100, -3, 190, 110)],
    "off-by-one": [second_box("cat", 100, 20, 201, 110)],
    "from-zero": [devkit_from_zero],
    "other-file": [other_xml],
    "crowded": [crowd],
    "duplicate-box": [extra_box("cat", 8, 12, 88, 92), extra_box("cat", 9, 12, 88, 92)],
    "covers-picture": [second_box("cat", 0, 0, 200, 149)],
    "tiny-box": [extra_box("cat", 50, 50, 52, 60)],
    "size-zero": [lambda toy: toy.label("train0", *GOOD, size=(0, 0))],
    "size-differs": [lambda toy: toy.label("train0", *GOOD, size=(400, 300))],
    "exif-turned": [turned, quarter_turned],
    "copy": [copied("train1.jpg", "train2.jpg")],
    "near-duplicate": [recompressed("train1.jpg", "train2.jpg")],
    "leaked-copy": [copied("train1.jpg", "val2.jpg")],
    "leaked-near": [recompressed("train1.jpg", "val2.jpg")],
    "few-boxes": [rare_class],
    "imbalance": [uneven],
    "similar-classes": [plural],
    "split": [unknown_entry],
    "hard-to-match": [thin_boxes],
    "starts-at-one": [starts_at_one],
    "misleading-name": [lambda toy: toy.label("train0", *GOOD, filename="other.jpg")],
}


@pytest.mark.parametrize(
    ("kind", "plant"), [(kind, plant) for kind, plants in FAULTS.items() for plant in plants]
)
def test_each_fault_is_found_and_nothing_else(
    toy: Toy, kind: str, plant: Callable[[Toy], None]
) -> None:
    plant(toy)
    before = {p: p.read_bytes() for p in toy.root.rglob("*") if p.is_file()}
    report = check(toy.root)
    # A picture whose label file is broken is not used either.
    noise = {"bad-label-file": {"left-out"}, "left-out": {"bad-box"}}.get(kind, set())
    assert set(kinds(report)) - noise == {kind}, report.findings
    assert sum(f.kind == kind for f in report.findings) == 1, report.findings
    assert (report.errors > 0) == (KINDS[kind].severity == "error")
    assert before == {p: p.read_bytes() for p in toy.root.rglob("*") if p.is_file()}
    # Every form of the report has it.
    assert KINDS[kind].title in "\n".join(as_text(report))
    assert kind in {finding["kind"] for finding in as_json(report)["findings"]}
    assert KINDS[kind].title in as_page(report)


def test_one_box_of_two_classes(toy: Toy) -> None:
    for i in range(10):
        toy.label(f"train{i}", *GOOD, ("dog", 60, 90, 120, 148))
    toy.label("train0", *GOOD, ("dog", 8, 12, 88, 92), ("dog", 60, 90, 120, 148))
    report = check(toy.root)
    assert kinds(report) == {"two-labels": 1}
    assert report.findings[0].boxes == (0, 2)
    assert report.findings[0].path == toy.root / "train0.jpg"


def test_class_named_and_never_used(tmp_path: Path, toy: Toy) -> None:
    card = tmp_path / "card.yaml"
    card.write_text("root: toy\nclasses: [cat, unicorn]\n")
    assert kinds(check(card)) == {"class-names": 1}


def test_what_cannot_be_trained_on_is_still_looked_at(toy: Toy) -> None:
    for path in toy.root.glob("*.xml"):
        path.write_text(path.read_text().replace("cat", ""))
    report = check(toy.root)
    assert kinds(report) == {"unusable": 1, "bad-box": 40, "left-out": 20}
    assert report.splits.keys() == {"all"}
    assert KINDS["unusable"].title in as_page(report)


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no such data card or folder"):
        check(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DetectorError, match="no labels found"):
        check(tmp_path / "empty")


def test_gravest_first_and_json_is_plain(toy: Toy) -> None:
    rare_class(toy)
    cut(toy)
    turned_picture = toy.root / "train5.jpg"
    turned_picture.write_bytes(b"GIF89a")
    report = check(toy.root)
    severities = [found[0].severity for found in by_kind(report.findings).values()]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    content = json.loads(json.dumps(as_json(report)))
    assert content["errors"] == report.errors == 2
    assert content["splits"]["val"] == {"pictures": 4, "boxes": 8, "classes": {"cat": 8, "dog": 0}}
    assert content["findings"][0]["picture"] in ("train3.jpg", "train5.jpg")


def test_page_escapes_what_data_sets_call_things(toy: Toy) -> None:
    for i in range(10):
        toy.label(f"train{i}", GOOD[0], ("&lt;script&gt;alert(1)", 100, 20, 170, 110))
    page = as_page(check(toy.root))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page.replace("http-equiv", "")
