"""The converted network against the original graph as TensorFlow.js ran it on the photos."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.classes import COCO_CATEGORY_IDS, COCO_CLASSES
from detector.detections import Detections, nms
from detector.images import read_image
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import images_to_input, load
from detector.model.ssdlite import SSDLite
from detector.predictor import COCO_FLOAT, Detector
from detector.preprocess import to_batch

SHARED = Path(__file__).parents[2].parent / "shared"
PHOTOS = SHARED / "data" / "photos"
REFERENCE = SHARED / "reference" / "tfjs_photos.json"
JPEG = "jpeg-js@0.4.4"

needs_photos = pytest.mark.skipif(
    not (PHOTOS.is_dir() and REFERENCE.is_file()),
    reason="../shared/data/photos or ../shared/reference/tfjs_photos.json is absent",
)


def tf1_resize(image: np.ndarray, side: int = 300) -> np.ndarray:
    """The graph's own resize: bilinear, sampling at i * scale instead of pixel centres."""

    def axis(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.arange(side, dtype=np.float32) * np.float32(length / side)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, length - 1), (at - low).astype(np.float32)

    (y0, y1, fy), (x0, x1, fx) = axis(image.shape[0]), axis(image.shape[1])
    pixels = image.astype(np.float32)
    top = pixels[y0][:, x0] + (pixels[y0][:, x1] - pixels[y0][:, x0]) * fx[:, None]
    bottom = pixels[y1][:, x0] + (pixels[y1][:, x1] - pixels[y1][:, x0]) * fx[:, None]
    return top + (bottom - top) * fy[:, None, None]


def jpeg_js(path: Path, package: Path) -> np.ndarray:
    """(H, W, 3) RGB as TensorFlow.js in Node decodes it: chroma is repeated, not interpolated."""
    script = (
        "const [file, lib] = process.argv.slice(1);"
        "const j = require(lib).decode(require('fs').readFileSync(file),"
        " {useTArray: true, formatAsRGBA: false, maxMemoryUsageInMB: 2048});"
        "process.stdout.write(Buffer.from(new Uint32Array([j.height, j.width]).buffer));"
        "process.stdout.write(Buffer.from(j.data))"
    )
    command = ["node", "-e", script, str(path), str(package.resolve())]
    out = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    height, width = np.frombuffer(out, "<u4", 2)
    return np.frombuffer(out, np.uint8, offset=8).reshape(height, width, 3)


def differences(model: SSDLite, rgb: Callable[[Path], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """|score - reference| and |box - reference| of every row of the reference.

    rgb: a photo's path -> (300, 300, 3) in 0..255.
    """
    anchors = anchors_cxcywh(model.anchors, (300, 300))
    scores, boxes = [], []
    for name, rows in json.loads(REFERENCE.read_text())["images"].items():
        pixels = torch.from_numpy(np.ascontiguousarray(rgb(PHOTOS / name)))
        with torch.no_grad():
            logits, offsets = model(images_to_input(pixels.permute(2, 0, 1)[None]))
        score, box = logits.sigmoid()[0], decode(offsets, anchors)[0]
        for anchor, category, expected, (y1, x1, y2, x2) in rows:
            scores.append(score[anchor, COCO_CATEGORY_IDS.index(category)].item() - expected)
            boxes.append(np.abs(box[anchor].numpy() - [x1, y1, x2, y2]).max())
    return np.abs(scores), np.array(boxes)


@needs_photos
@pytest.mark.slow
def test_raw_outputs_are_those_of_tensorflow_js(
    folded: SSDLite, npm_package: Callable[[str], Path]
) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed, so jpeg-js cannot decode the photos")
    package = npm_package(JPEG)
    scores, boxes = differences(folded, lambda path: tf1_resize(jpeg_js(path, package)))
    assert len(scores) > 100
    assert scores.max() < 1e-4  # 7e-6 when this was written, and the reference has five digits
    assert boxes.max() < 1e-4


@needs_photos
def test_with_our_preprocessing_raw_outputs_move_little() -> None:
    """Half-pixel centres move a picture of W pixels by (W / 300 - 1) / 2 of them.

    So single scores near a threshold move visibly, the average hardly does, and boxes move by about
    half a hundredth of the frame.
    """
    model, _ = load(COCO_FLOAT.with_suffix(".safetensors"))
    scores, boxes = differences(
        model, lambda path: to_batch(read_image(str(path)), (300, 300))[0, ..., ::-1]
    )
    assert scores.max() < 0.3
    assert scores.mean() < 0.05
    assert boxes.max() < 0.05
    assert boxes.mean() < 0.01


def reference_detections(rows: list[list[object]], frame_hw: tuple[int, int]) -> Detections:
    """A photo's rows after our NMS, in pixels."""
    yxyx = np.array([row[3] for row in rows], np.float32).clip(0, 1)
    height, width = frame_hw
    xyxy = yxyx[:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    scores = np.array([row[2] for row in rows], np.float32)
    labels = np.array([COCO_CATEGORY_IDS.index(int(str(row[1]))) for row in rows])
    kept = nms(xyxy, scores, labels, 0.5, 100)
    return Detections(xyxy[kept], scores[kept], labels[kept], COCO_CLASSES)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    left, top = np.maximum(a[:2], b[:2])
    right, bottom = np.minimum(a[2:], b[2:])
    inside = max(0.0, right - left) * max(0.0, bottom - top)
    return float(inside / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside))


@needs_photos
@pytest.mark.parametrize("vote", [None, 0])
def test_what_a_user_sees_is_what_tensorflow_js_saw(vote: float | None) -> None:
    """Every object that either finds with 0.5 or more, the other finds in the same place.

    TensorFlow.js's scores are the network's own, and so are ours without a vote.
    """
    detector = Detector(precision="float", score=0.3, iou=0.5, vote=vote)
    overlaps, gaps, sides = [], [], []
    for name, rows in json.loads(REFERENCE.read_text())["images"].items():
        frame = read_image(str(PHOTOS / name))
        mine, theirs = detector(frame), reference_detections(rows, frame.shape[:2])
        for one, other in ((mine, theirs), (theirs, mine)):
            for box, score, label in one[one.scores >= 0.5]:
                same = [i for i, n in enumerate(other.names) if n == label]
                assert same, f"{name}: only one of them finds a {label} ({score:.2f})"
                best = max(same, key=lambda i: iou(box, other.xyxy[i]))
                overlaps.append(iou(box, other.xyxy[best]))
                gaps.append(abs(score - other.scores[best]))
                sides.append(np.prod(box[2:] - box[:2]) ** 0.5)
    assert len(overlaps) > 50
    assert np.mean(overlaps) > 0.9  # 0.92 when this was written
    assert vote is None or np.mean(gaps) < 0.06  # 0.044
    assert min(overlaps) > 0.5  # 0.59: far people and kites, of some 20 pixels
    large = np.array(overlaps)[np.array(sides) > 96]
    assert len(large) > 30
    assert large.min() > 0.85
