"""The page's preprocessing and suppression, run by node, against Python's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector import Detector
from detector.detections import Detections, Limits, select
from detector.preprocess import to_batch
from detector.serve.site import PAGE

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
SCRIPT = Path(__file__).parent / "js" / "parity.mjs"


class Cases:
    """Cases for node, and what it makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: dict[str, list[dict[str, Any]]] = {"resize": [], "select": []}

    def resize(self, bgr: np.ndarray, side: int) -> None:
        name = f"r{len(self.listed['resize'])}"
        cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA).tofile(self.folder / f"{name}.rgba")
        height, width = bgr.shape[:2]
        self.listed["resize"].append({"name": name, "width": width, "height": height, "side": side})

    def select(
        self, boxes: np.ndarray, scores: np.ndarray, size_hw: tuple[int, int], **options: Any
    ) -> None:
        name = f"s{len(self.listed['select'])}"
        boxes.astype(np.float32).tofile(self.folder / f"{name}.boxes")
        scores.astype(np.float32).tofile(self.folder / f"{name}.scores")
        case = {"name": name, "classes": scores.shape[1], "options": options}
        self.listed["select"].append(case | {"width": size_hw[1], "height": size_hw[0]})

    def run(self) -> tuple[list[np.ndarray], list[list[dict[str, Any]]]]:
        """(resized bytes, detections) of each case."""
        node = shutil.which("node")
        if node is None:
            pytest.skip("node is not installed (apt: nodejs)")
        (self.folder / "cases.json").write_text(json.dumps(self.listed))
        words = [node, str(SCRIPT), str(self.folder), str(PAGE)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        resized = [
            np.fromfile(self.folder / f"{case['name']}.bgr", np.uint8)
            for case in self.listed["resize"]
        ]
        return resized, json.loads((self.folder / "found.json").read_text())


def expect(found: list[dict[str, Any]], expected: Detections, tolerance: float = 0) -> None:
    assert [one["label"] for one in found] == expected.labels.tolist()
    scores = np.array([one["score"] for one in found], np.float32)
    np.testing.assert_allclose(scores, expected.scores, rtol=1e-5 if tolerance else 0)
    boxes = np.array([one["xyxy"] for one in found], np.float32).reshape(-1, 4)
    np.testing.assert_allclose(boxes, expected.xyxy, rtol=0, atol=tolerance)


def test_resize_gives_the_same_bytes_at_any_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cases, expected = Cases(tmp_path), []
    sizes = [(1, 1), (1, 700), (700, 1), (2, 3), (96, 96), (192, 192), (300, 300), (600, 600)]
    for height, width in sizes + rng.integers(1, 600, (20, 2)).tolist():
        bgr = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        side = int(rng.choice([96, 100, 301]))
        cases.resize(bgr, side)
        expected.append(to_batch(bgr, (side, side)).ravel())
    for ours, theirs in zip(cases.run()[0], expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_select_keeps_the_same_boxes(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    cases, expected = Cases(tmp_path), []
    options: list[dict[str, Any]] = [
        {"score": 0.5, "iou": 0.6, "topK": 100, "labels": []},
        {"score": 0.0, "iou": 0.3, "topK": 7, "labels": []},
        {"score": 0.3, "iou": 0.0, "topK": 100, "labels": [1, 3]},
        {"score": 0.2, "iou": 1.0, "topK": 100, "labels": []},
        {"score": 1.1, "iou": 0.5, "topK": 100, "labels": []},
        {"score": 0.1, "iou": 0.6, "topK": 100, "labels": [], "vote": 0.05},
        {"score": 0.0, "iou": 0.4, "topK": 9, "labels": [0, 2], "vote": 0.5},
    ]
    for option in options * 4:
        corners = rng.uniform(-0.3, 1, (60, 2))
        boxes = np.hstack([corners, corners + rng.uniform(-0.1, 0.6, (60, 2))]).astype(np.float32)
        # Few different scores: ties must keep their order.
        scores = np.round(rng.uniform(0, 1, (60, 5)), 1).astype(np.float32)
        cases.select(boxes, scores, (480, 641), **option)
        names = tuple("abcde")
        labels = np.array(option["labels"], np.int64) if option["labels"] else None
        limits = Limits(option["score"], option["iou"], option["topK"], option.get("vote", 0))
        expected.append(select(boxes, scores, (480, 641), names, limits, labels))
    assert max(map(len, expected)) > 20
    for found, python, option in zip(cases.run()[1], expected, options * 4, strict=True):
        expect(found, python, 1e-3 if "vote" in option else 0)  # sums in another order


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"needs the photos in {PHOTOS}")
def test_photos_give_the_same_input_and_detections(tmp_path: Path) -> None:
    detector = Detector(precision="float", score=0.2)
    cases, batches, expected = Cases(tmp_path), [], []
    for path in sorted(PHOTOS.glob("*.jpg")):
        bgr = cv2.imread(str(path))
        batch = to_batch(bgr, detector.size_hw)
        cases.resize(bgr, detector.size_hw[0])
        boxes, scores = detector.engine.infer(batch)
        option = {
            "score": 0.2,
            "iou": detector.iou,
            "topK": 100,
            "vote": detector.vote,
            "labels": [],
        }
        cases.select(boxes, scores, bgr.shape[:2], **option)
        batches.append(batch.ravel())
        expected.append(detector.detect_timed(bgr)[0])
    resized, found = cases.run()
    assert sum(map(len, expected)) > 30
    for ours, theirs in zip(resized, batches, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(found, expected, strict=True):
        expect(ours, theirs, 1e-3)
