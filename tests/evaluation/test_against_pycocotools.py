"""Any files in COCO's formats: the twelve figures are pycocotools' own on the same two files."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detector.evaluation.analyse import analyse
from detector.evaluation.coco import measure_pictures
from detector.evaluation.compare import class_hits, weighted_ap
from detector.evaluation.identity import Identity
from detector.evaluation.judged import judge_file, open_data
from detector.evaluation.saved import save

IDS = st.lists(st.integers(0, 10**12), min_size=1, max_size=4, unique=True)
# Whole pixels and tenths: overlaps of exactly 0.5, areas of exactly 32 squared, boxes without area.
PLACE = st.one_of(st.integers(-8, 60), st.integers(0, 600).map(lambda n: n / 10))
SIDE = st.sampled_from([0, 4, 8, 8.1, 10, 16, 20.5, 32, 40, 96, 100])
BOX = st.tuples(PLACE, PLACE, SIDE, SIDE).map(list)
SCORE = st.one_of(st.sampled_from([0.1, 0.5, 0.9]), st.floats(0, 1))


def pycocotools_figures(truth, results):
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(truth)
        evaluation = COCOeval(known, known.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats * 100)


def ours(truth, results):
    data = open_data(truth, None, unseen=True)
    return judge_file(results, data).pictures, data.dataset.class_names


def write(folder, images, categories, truth, results):
    rows = [
        {"id": n, "image_id": i, "category_id": k, "bbox": box, "area": area, "iscrowd": crowd}
        for n, (i, k, box, area, crowd) in enumerate(truth, start=1)
    ]
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 90, "height": 90} for i in images],
        "categories": [{"id": k, "name": f"kind {k}"} for k in categories],
        "annotations": rows,
    }
    found = [
        {"image_id": i, "category_id": k, "bbox": box, "score": score}
        for i, k, box, score in results
    ]
    files = Path(folder) / "truth.json", Path(folder) / "results.json"
    for file, value in zip(files, (content, found), strict=True):
        file.write_text(json.dumps(value))
    return files


@st.composite
def files(draw):
    images, categories = draw(IDS), draw(IDS)
    some = st.sampled_from(images), st.sampled_from(categories)
    size = st.one_of(st.none(), st.sampled_from([300.0, 1024.0, 9216.0, 20000.0]))
    rows = draw(st.lists(st.tuples(*some, BOX, size, st.sampled_from([0, 0, 0, 1])), max_size=12))
    first = (images[0], categories[0], [5, 5, 20, 20], 400.0, 0)  # something to find
    truth = [first, *((i, k, b, b[2] * b[3] if a is None else a, c) for i, k, b, a, c in rows)]
    near = st.sampled_from([row[2] for row in truth])
    results = draw(st.lists(st.tuples(*some, st.one_of(BOX, near), SCORE), min_size=1, max_size=20))
    return images, categories, truth, results


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_any_files(content):
    with tempfile.TemporaryDirectory() as folder:
        truth, results = write(folder, *content)
        pictures, names = ours(truth, results)
        theirs = pycocotools_figures(truth, results)
    figures = measure_pictures(pictures, len(names))
    assert list(figures.values()) == pytest.approx(theirs.tolist(), abs=1e-9, nan_ok=True)
    # The matching of our own that errors and comparisons rest on.
    once = np.ones((1, len(pictures)), np.int64)
    each = [weighted_ap(one, once)[0] for one in class_hits(pictures, len(names))]
    assert np.nanmean(each) * 100 == pytest.approx(theirs[0], abs=1e-9)


def test_more_than_a_hundred_detections_and_many_classes(tmp_path):
    rng = np.random.default_rng(3)
    images, categories = [30, 4, 17], list(range(200, 80, -1))
    boxes = rng.integers(0, 300, (400, 4)) / 4 + [0, 0, 8, 8]
    keys = rng.choice(images, 400), rng.choice(categories, 400)
    truth = [
        (int(i), int(k), box, box[2] * box[3], 0)
        for i, k, box in zip(*keys, boxes.tolist(), strict=True)
    ]
    results = [
        (i, k, [box[0] + shift, *box[1:]], round(float(rng.random()), 2))
        for i, k, box, _, _ in truth
        for shift in (0, 1, 3)
    ]
    crowded = [(4, 90, [n / 8, 5, 20, 20], round(float(rng.random()), 1)) for n in range(250)]
    files = write(tmp_path, images, categories, truth, results + crowded)
    pictures, names = ours(*files)
    figures = measure_pictures(pictures, len(names))
    theirs = pycocotools_figures(*files)
    assert list(figures.values()) == pytest.approx(theirs.tolist(), abs=1e-9, nan_ok=True)
    assert 5 < figures["AP"] < 95


def test_what_is_written_gives_the_same_figures(tmp_path, random_pictures):
    """truth.json and detections.json of --out, with boxes and scores that only float32 holds."""
    rng = np.random.default_rng(0)
    pictures = []
    for one in random_pictures(5):
        scores = np.sort(rng.random(len(one.found)).astype(np.float32) ** 8)[::-1]
        moved = one.found.xyxy + rng.random(one.found.xyxy.shape).astype(np.float32)
        moved[:, 2:] += 1
        pictures.append(replace(one, found=replace(one.found, scores=scores.copy(), xyxy=moved)))
    names = pictures[0].found.class_names
    identity = Identity(tuple(range(100, 112)), (17, 18, 16))
    save(tmp_path, pictures, analyse(pictures, names), identity, {})
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    figures = measure_pictures(pictures, len(names))
    theirs = pycocotools_figures(tmp_path / "truth.json", tmp_path / "detections.json")
    assert list(figures.values()) == pytest.approx(theirs.tolist(), abs=1e-9, nan_ok=True)
    written = [np.nan if metrics[name] is None else metrics[name] for name in figures]
    assert written == pytest.approx(theirs.tolist(), abs=1e-6, nan_ok=True)
