"""Pictures with truth and detections: made by hand, at random, and of the shared data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from detector.data.example import Example
from detector.data.formats import read
from detector.evaluation.analysis import Picture
from detector.evaluation.results import ranked
from detector.evaluation.run import labelled

SHARED = Path(__file__).parents[2].parent / "shared"
NAMES = ("cat", "dog", "bird")
Truth = tuple[int, Sequence[float]]  # label and xyxy
Found = tuple[int, float, Sequence[float]]  # label, score and xyxy
MakePicture = Callable[..., Picture]


@pytest.fixture(scope="session")
def picture() -> MakePicture:
    """picture(truth, found, ignore=[0], names=NAMES, name="a.jpg"): 400x400 pixels."""

    def make(
        truth: Sequence[Truth] = (),
        found: Sequence[Found] = (),
        ignore: Sequence[int] = (),
        names: tuple[str, ...] = NAMES,
        name: str = "a.jpg",
    ) -> Picture:
        boxes = np.array([box for _, box in truth], np.float32).reshape(-1, 4)
        labels = np.array([label for label, _ in truth], np.int64)
        marks = np.isin(np.arange(len(truth)), ignore)
        return Picture(Path(name), (400, 400), boxes, labels, marks, ranked(found, names))

    return make


@pytest.fixture(scope="session")
def random_pictures(picture: MakePicture) -> Callable[[int], list[Picture]]:
    """random_pictures(seed): a dozen, crowds and duplicates among them, scores that repeat."""

    def make(seed: int) -> list[Picture]:
        rng = np.random.default_rng(seed)
        made = []
        for number in range(12):
            corners = rng.integers(0, 300, (rng.integers(0, 6), 2))
            boxes = np.concatenate([corners, corners + rng.integers(4, 100, corners.shape)], axis=1)
            labels = rng.integers(0, 3, len(boxes))
            truth = list(zip(labels.tolist(), boxes.tolist(), strict=True))
            found = []
            for label, box in truth * int(rng.integers(0, 4)):
                moved = np.asarray(box) + rng.integers(-12, 12, 4)
                swapped = label if rng.random() < 0.7 else int(rng.integers(0, 3))
                moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
                found.append((swapped, round(float(rng.random()), 1), moved.tolist()))
            crowd = np.flatnonzero(rng.random(len(truth)) < 0.2).tolist()
            made.append(picture(truth, found, crowd, name=f"{number}.jpg"))
        return made

    return make


@pytest.fixture(scope="session")
def coco_val() -> tuple[list[Picture], tuple[str, ...]]:
    """coco-val-128 with the reference detections, and its class names."""
    folder, results = SHARED / "data" / "coco-val-128", SHARED / "reference"
    file = results / "coco_val_128_detections.json"
    if not (folder.is_dir() and file.is_file()):
        pytest.skip("../shared/data/coco-val-128 or its reference detections are absent")
    data = read(folder)
    truth = json.loads((folder / "instances.json").read_text())
    by_name = {name: label for label, name in enumerate(data.class_names)}
    label_of = {c["id"]: by_name[c["name"]] for c in truth["categories"]}
    number = {image["file_name"]: image["id"] for image in truth["images"]}
    rows: dict[int, list[Found]] = {image["id"]: [] for image in truth["images"]}
    for r in json.loads(file.read_text()):
        x, y, w, h = r["bbox"]
        box = [x, y, x + w, y + h]
        rows[r["image_id"]].append((label_of[r["category_id"]], r["score"], box))
    pictures = []
    for example in data.examples:
        assert example.size_wh is not None
        found = ranked(rows[number[example.path.name]], data.class_names)
        pictures.append(labelled(example, example.size_wh, found))
    return pictures, data.class_names


def from_text(
    folder: Path, examples: Sequence[Example], names: tuple[str, ...], classes: Sequence[str]
) -> list[Picture]:
    """Examples beside detections in text files: class (name or number of `classes`), score, box.

    Boxes are VOC's: corners are pixels inside, counted from 1.
    """
    pictures = []
    for example in examples:
        found: list[Found] = []
        file = folder / f"{example.path.stem}.txt"
        for line in file.read_text().splitlines() if file.exists() else []:
            kind, score, x1, y1, x2, y2 = line.split()
            name = classes[int(kind)] if kind.isdecimal() else kind
            box = [float(x1) - 1, float(y1) - 1, float(x2), float(y2)]
            if name in names:
                found.append((names.index(name), float(score), box))
        truth = (example.xyxy, example.labels, example.ignore)
        pictures.append(Picture(example.path, (500, 500), *truth, ranked(found, names)))
    return pictures


def voc_pictures(name: str, truth: str, found: str, classes: str) -> list[Picture]:
    """A shared folder of VOC's XML and text detections; skips where it is absent."""
    root = SHARED / "data" / name
    if not root.is_dir():
        pytest.skip(f"../shared/data/{name} is absent")
    data = read(root / truth, "voc", images=root / "images", first_pixel=1)
    listed = SHARED / "data" / "voc-toy" / classes
    return from_text(root / found, data.examples, data.class_names, listed.read_text().split("\n"))


@pytest.fixture(scope="session")
def voc_toy() -> list[Picture]:
    """Ten pictures of twelve cats, with their authors' detections."""
    return voc_pictures("voc-toy", "gts_vocpascal_format", "dets_classname_abs_xyx2y2", "voc.names")


@pytest.fixture(scope="session")
def voc_100() -> list[Picture]:
    """A hundred pictures with difficult boxes, and detections."""
    return voc_pictures("voc-100", "gts/pascalvoc_format", "dets/abs_xyx2y2", "voc.names")
