"""VOC's AP: the published toy example, and an independent count with difficult boxes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.data.picture_size import displayed_size
from detector.evaluation.results import ranked
from detector.evaluation.table import tabulate
from detector.evaluation.voc import FIGURES, voc_ap, voc_figures

BOX = [0, 0, 100, 100]
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize(("iou", "figures"), [(0.5, (88.64, 89.58)), (0.75, (49.24, 50.97))])
def test_the_published_toy_example(voc_toy, iou, figures):
    (ap,) = voc_ap(tabulate(voc_toy, 1), iou) * 100
    assert ap.tolist() == pytest.approx(figures, abs=0.005)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def by_the_book(pictures, label, least):
    """One class, box by box, as the devkit describes it; None where nothing is to be found."""
    rows = [
        (-score, number, box.tolist())
        for number, p in enumerate(pictures)
        for box, score, name in p.found
        if name == p.found.class_names[label]
    ]
    truths = [
        [
            (b.tolist(), bool(i))
            for b, k, i in zip(p.xyxy, p.labels, p.ignore, strict=True)
            if k == label
        ]
        for p in pictures
    ]
    total = sum(not difficult for boxes in truths for _, difficult in boxes)
    if not total:
        return None
    taken, points, hits, alarms = set(), [], 0, 0
    for _, number, box in sorted(rows, key=lambda row: row[0]):
        ious = [overlap(box, other) for other, _ in truths[number]]
        best = max(ious, default=0)
        which = ious.index(best) if ious else -1
        if best >= least and truths[number][which][1]:
            continue
        if best >= least and (number, which) not in taken:
            taken.add((number, which))
            hits += 1
        else:
            alarms += 1
        points.append((hits / total, hits / (hits + alarms)))
    eleven = [max([p for r, p in points if r >= n / 10], default=0) for n in range(11)]
    area = last = 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return sum(eleven) / 11, area


@pytest.mark.parametrize("least", [0.3, 0.5, 0.75])
def test_an_independent_count_agrees(voc_100, least):
    names = voc_100[0].found.class_names
    assert sum(int(p.ignore.sum()) for p in voc_100) > 30
    ours = voc_ap(tabulate(voc_100, len(names)), least)
    theirs = [by_the_book(voc_100, label, least) or (np.nan, np.nan) for label in range(len(names))]
    assert ours == pytest.approx(np.array(theirs), abs=1e-9, nan_ok=True)
    assert np.nanmean(ours) > 0.3


def test_the_second_on_a_box_is_false_even_where_another_is_free(picture):
    # The second overlaps the taken box most; COCO would give it the free one.
    truth = [(0, BOX), (0, [0, 0, 100, 140])]
    ap = voc_ap(tabulate([picture(truth, [(0, 0.9, BOX), (0, 0.8, [0, 0, 100, 105])])], 3))
    assert ap[0] == pytest.approx([6 / 11, 0.5])


def test_difficult_boxes_count_neither_way(picture):
    truth, found = (
        [(0, BOX), (0, [200, 0, 300, 100])],
        [(0, 0.9, [200, 0, 300, 100]), (0, 0.8, BOX)],
    )
    assert voc_ap(tabulate([picture(truth, found, ignore=[1])], 3))[0].tolist() == [1, 1]


def test_nothing_found_is_0_and_nothing_to_find_is_nan(picture):
    ap = voc_ap(tabulate([picture([(0, BOX)])], 3))
    assert ap[0].tolist() == [0, 0]
    assert np.isnan(ap[1:]).all()
    figures = voc_figures(ap, np.array([[0.5, 1.0], [1.0, 1.0], [np.nan, np.nan]]))
    assert figures == dict(zip(FIGURES, (0, 0, 50, 100), strict=True))
    nothing = voc_ap(tabulate([picture()], 3))
    assert np.isnan(list(voc_figures(nothing, nothing).values())).all()


def test_a_class_of_difficult_boxes_alone_is_not_in_the_mean(picture):
    truth = [(0, BOX), (1, BOX)]
    table = tabulate([picture(truth, [(0, 0.9, BOX), (1, 0.9, BOX)], ignore=[1])], 3)
    ap = voc_ap(table)
    assert ap[0].tolist() == [1, 1]
    assert np.isnan(ap[1:]).all()
    assert set(voc_figures(ap, ap).values()) == {100}


@pytest.mark.parametrize("dialect", ["abs_xywh", "abs_xyx2y2", "rel_xywh", "coco_format"])
def test_every_dialect_of_the_shared_detections(voc_100, dialect):
    """Read here with none of our readers; float text keeps six digits, hence the tolerance."""
    names = voc_100[0].found.class_names
    classes = (SHARED / "voc-toy" / "voc.names").read_text().split("\n")
    rows = {p.path.stem: (p, []) for p in voc_100}
    if dialect == "coco_format":
        content = json.loads((SHARED / "voc-100" / "dets" / dialect / "coco_dets.json").read_text())
        stem = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        kind = {c["id"]: c["name"] for c in content["categories"]}
        for one in content["annotations"]:
            x, y, w, h = one["bbox"]
            row = (kind[one["category_id"]], one["score"], x, y, x + w, y + h)
            rows[stem[one["image_id"]]][1].append(row)
    else:
        for file in (SHARED / "voc-100" / "dets" / dialect).glob("*.txt"):
            for line in file.read_text().splitlines():
                label, score, *box = map(float, line.split())
                rows[file.stem][1].append(
                    (classes[int(label)], score, *in_corners(dialect, box, file.stem))
                )
    read = []
    for one, found in rows.values():
        boxes = [
            (names.index(name), score, [x1 - 1, y1 - 1, x2, y2])
            for name, score, x1, y1, x2, y2 in found
            if name in names
        ]
        read.append(replace(one, found=ranked(boxes, names)))
    expected = voc_ap(tabulate(voc_100, len(names)))
    assert voc_ap(tabulate(read, len(names))) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert 0.5 < np.nanmean(expected) < 0.7


def in_corners(dialect, box, stem):
    if dialect == "abs_xyx2y2":
        return box
    if dialect == "rel_xywh":
        width, height = displayed_size(SHARED / "voc-100" / "images" / f"{stem}.jpg")
        x, y, w, h = np.multiply(box, [width, height, width, height]).tolist()
        return [round(v) for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]
    x, y, w, h = box
    return [x, y, x + w, y + h]
