"""A repaired copy of a data set, in COCO's layout; the original is only read.

COCO, because it alone keeps fractions of a pixel, boxes to ignore, pictures without objects and the
order of the classes. Only what is certain is mended; the rest is left for eyes and checked again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.cutting import cut
from detector.data.check.boxes import odd_boxes
from detector.data.check.examples import size_differs
from detector.data.check.parts import PartBoxes, boxes_in, with_objects
from detector.data.check.pictures import Picture, right_suffix
from detector.data.check.report import Report
from detector.data.example import Example, Float32, Int64
from detector.data.load import load_splits
from detector.errors import DetectorError
from detector.images import UInt8, read_image
from detector.outfile import cannot_write

# Kinds of box that no clipping or swapping of corners makes right.
_DROPPED = ("zero-size-box", "box-off-picture")
JPEG_QUALITY = 95
SLIVER_PX = 1.0  # of a box that reaches off its picture, with less than this inside
_NO_PICTURE = "pictures left out that cannot be read"
# What the reader left out, and so the copy lacks.
_UNREAD = {
    "bad-box": "labels left out that are no box",
    "left-out": "pictures left out whose labels cannot be read",
    "label-without-picture": "label files or rows left out that have no picture",
    "in-no-split": "labelled pictures left out that are in no split",
}


def repair(report: Report, out: Path, tiles: int = 1) -> Counter[str]:
    """Write `out/images/SPLIT/*` and `out/annotations/instances_SPLIT.json`; what was mended.

    Pictures that cannot be read are left out, as are copies of one that judges (in val or test)
    from train; turned ones are saved upright, misnamed ones get the right suffix, the others are
    copied byte for byte. Boxes are clipped, swapped corners put right, those without area or off
    the picture and repeated ones left out; what had been left out in reading is counted too. tiles:
    into how many parts along its longer side to cut each picture; of those of train that show no
    object only some are kept. The folder appears whole or not at all.

    Raises DetectorError when `out` exists, lies in the original, or cannot be written.
    """
    check_place(report.root, out)
    work = out.with_name(f".{out.name}.{os.getpid()}.part")
    done = Counter(_UNREAD[f.kind] for f in report.findings if f.kind in _UNREAD)
    # Of pictures that came as far as into a split `_split` counts those that cannot be read.
    done[_NO_PICTURE] = sum(f.kind == "unreadable" and f.path is None for f in report.findings)
    try:
        (work / "annotations").mkdir(parents=True)
        judged = {
            report.pictures[e.path].digest
            for split, dataset in report.splits.items()
            if split != "train"
            for e in dataset.examples
        }
        for split, dataset in report.splits.items():
            content = _split(
                report, split, work, judged if split == "train" else set(), done, tiles
            )
            content["categories"] = [
                {"id": label + 1, "name": name} for label, name in enumerate(dataset.class_names)
            ]
            text = json.dumps(content)
            path = work / "annotations" / f"instances_{split}.json"
            path.write_text(text, encoding="utf-8")
        work.rename(out)
    except OSError as error:
        raise cannot_write(out, "--fix", error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return done


def why_useless(out: Path) -> str:
    """Why a repaired copy cannot be trained on, and what to do; "" when it can.

    Leaving out what is broken, or a copy of what val has, may leave a split without pictures.
    """
    try:
        load_splits(out)
    except DetectorError as error:
        return (
            f"{error}. Too much was left out above: mend it in the original, or have val drawn "
            "anew there (val: 0.2 in a card), and repair that"
        )
    return ""


def check_place(root: Path, out: Path) -> None:
    """Raise DetectorError unless `out` is a new folder that does not lie in the original `root`."""
    if out.exists():
        raise DetectorError(f"--fix {out}: exists already; give the name of a new folder")
    if not out.parent.is_dir():
        raise DetectorError(f"--fix {out}: there is no folder {out.parent}; make it first")
    if out.resolve().is_relative_to(root.resolve()):
        raise DetectorError(
            f"--fix {out}: lies inside {root}, where the copy would be read as part of "
            "the data; write it elsewhere"
        )


def _split(
    report: Report,
    split: str,
    work: Path,
    judged: set[bytes],
    done: Counter[str],
    tiles: int,
) -> dict[str, Any]:
    """Copy one split's pictures and return its images and annotations."""
    folder = work / "images" / split
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    taken: set[str] = set()
    seen: set[Path] = set()
    for example in report.splits[split].examples:
        picture = report.pictures[example.path]
        if picture.bits is None:
            done[_NO_PICTURE] += 1
            continue
        if picture.digest in judged or example.path in seen:
            done["copies of a picture left out"] += 1
            continue
        seen.add(example.path)
        rows, boxes = mend_boxes(example, picture.size_wh, done)
        whole = PartBoxes(np.array(rows, np.int64), boxes, example.ignore[rows])
        if tiles == 1:
            name = _save(picture, folder, taken, done)
            saved = [(name, _stated_size(example, picture, done), whole)]
        else:
            saved = _save_parts(picture, folder, taken, done, tiles, whole, split)
        for name, (width, height), found in saved:
            number = len(images) + 1
            entry = {"id": number, "file_name": f"{split}/{name}", "width": width, "height": height}
            images.append(entry)
            annotations += _annotations(found, example.labels, number, len(annotations) + 1)
    return {"images": images, "annotations": annotations}


def _annotations(
    found: PartBoxes, labels: Int64, image_id: int, first: int
) -> Iterator[dict[str, Any]]:
    """COCO's rows of one picture, their ids from `first` on. labels: of all boxes, (G,)."""
    everything = zip(found.rows, found.xyxy.tolist(), found.ignore, strict=True)
    for number, (row, (x1, y1, x2, y2), ignore) in enumerate(everything, start=first):
        yield {
            "id": number,
            "image_id": image_id,
            "category_id": int(labels[row]) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": int(ignore),
        }


def _save_parts(
    picture: Picture,
    folder: Path,
    taken: set[str],
    done: Counter[str],
    tiles: int,
    whole: PartBoxes,
    split: str,
) -> list[tuple[str, tuple[int, int], PartBoxes]]:
    """Save a picture's parts upright, each under a name of its own: name, (width, height), boxes.

    Boxes' rows stay those of the picture.
    """
    image = read_image(picture.path)
    parts = cut(image.shape[:2], tiles)
    found = [boxes_in(part, whole.xyxy, whole.ignore) for part in parts]
    kept = with_objects(found) if split == "train" else range(len(parts))
    done["parts of pictures"] += len(kept)
    done["parts without objects left out of train"] += len(parts) - len(kept)
    saved = []
    for i in kept:
        part = parts[i]
        stem = f"{picture.path.stem}_{part.left}_{part.top}"
        name = _free_name(stem, right_suffix(picture), taken)
        _write(part.view(image), folder / name)
        boxes = found[i]._replace(rows=whole.rows[found[i].rows])
        saved.append((name, part.size_wh, boxes))
    return saved


def _stated_size(example: Example, picture: Picture, done: Counter[str]) -> tuple[int, int]:
    """(width, height) for the json: the picture's own.

    Where the labels claim another, which only eyes can settle, that one: so it is found again.
    """
    if example.size_wh is None or not size_differs(example, picture):
        return picture.size_wh
    done["pictures labelled at another size, left for you to look at"] += 1
    return example.size_wh


def mend_boxes(
    example: Example, size_wh: tuple[int, int], done: Counter[str]
) -> tuple[list[int], Float32]:
    """(rows kept, their boxes (M, 4)): clipped, each with an area. Counts its work in `done`."""
    boxes = example.xyxy.astype(np.float32)
    straight = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1
    )
    done["boxes turned right side out"] += int((straight != boxes).any(axis=1).sum())
    clipped = np.clip(straight, 0, np.array([*size_wh, *size_wh], np.float32))
    done["boxes clipped to their picture"] += int((clipped != straight).any(axis=1).sum())
    kept = list(range(len(boxes)))
    for kind, rows, _ in odd_boxes(straight, example.labels, example.ignore, size_wh):
        if kind in (*_DROPPED, "duplicate-box") and set(rows) <= set(kept):
            kept.remove(rows[-1])
            reason = "drawn twice" if kind == "duplicate-box" else "without area in their picture"
            done[f"boxes left out, {reason}"] += 1
    slivers = (clipped != straight).any(axis=1) & (
        (clipped[:, 2:] - clipped[:, :2]).min(axis=1) < SLIVER_PX
    )
    whole = [row for row in kept if not slivers[row]]
    done["boxes left out, less than a pixel of them in their picture"] += len(kept) - len(whole)
    return whole, np.asarray(clipped[whole], np.float32)


def _save(picture: Picture, folder: Path, taken: set[str], done: Counter[str]) -> str:
    """Copy a picture under a name of its own; returns the name."""
    suffix = right_suffix(picture)
    done["pictures given the right suffix"] += suffix != picture.path.suffix.lower()
    if picture.orientation != 1:
        suffix = ".jpg"  # only JPEG is stored turned
    name = _free_name(picture.path.stem, suffix, taken)
    if picture.orientation == 1:
        shutil.copyfile(picture.path, folder / name)
        return name
    _write(read_image(picture.path), folder / name)
    done["pictures saved upright"] += 1
    return name


def _free_name(stem: str, suffix: str, taken: set[str]) -> str:
    """A file name that no other has, whatever the case; added to `taken`."""
    stem = stem.replace("\\", "_")  # which Windows would take for a folder
    name, number = f"{stem}{suffix}", 2
    while name.casefold() in taken:
        name, number = f"{stem}_{number}{suffix}", number + 1
    taken.add(name.casefold())
    return name


def _write(image: UInt8, path: Path) -> None:
    """Encode a picture by its suffix."""
    kind = ".jpg" if path.suffix == ".jfif" else path.suffix  # one that OpenCV does not know
    done, data = cv2.imencode(kind, image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, path
    path.write_bytes(data.tobytes())
