"""What is drawn into the worst pictures, and said of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.colors import class_color
from detector.detections import Detections
from detector.evaluation import pictures as module
from detector.evaluation.analysis import Analysis, Mistake, Picture, WorstPicture
from detector.evaluation.pictures import (
    KINDS,
    SHOWN,
    draw_found,
    draw_truth,
    right_boxes,
    worst_pictures,
)

NAMES = ("apple", "pear")
BOX = np.array([20, 30, 80, 90], np.float32)


def mistake(kind: str, score: float = 0.6, truth: str = "pear") -> Mistake:
    return Mistake(kind, BOX, score, "apple", truth)


def picture(path: Path = Path("gone.png"), *, ignore: bool = False) -> Picture:
    found = Detections(
        np.array([BOX, BOX + 5, BOX + 9], np.float32),
        np.array([0.9, 0.6, 0.2], np.float32),
        np.zeros(3, np.int64),
        NAMES,
    )
    return Picture(path, (200, 100), BOX[None], np.array([1]), np.array([ignore]), found)


def is_at(image: np.ndarray, color: tuple[int, ...], x: int, y: int) -> bool:
    """Whether a pixel within 2 of (x, y) has this colour."""
    near = image[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].reshape(-1, 3)
    return bool((near == color).all(axis=1).any())


def test_the_truth_has_its_classes_colours_and_ignored_boxes_are_gray() -> None:
    for ignore, color in ((False, class_color(1)), (True, module.GRAY)):
        image = np.full((200, 400, 3), 90, np.uint8)
        one = picture(ignore=ignore)
        draw_truth(image, one.xyxy * 2, one, NAMES)
        assert is_at(image, color, 160, 130)
        assert is_at(image, color, 100, 180)
        assert (image[120:170, 60:150] == 90).all()


def test_mistakes_have_the_colour_of_their_kind_and_missed_ones_are_dashed() -> None:
    solid = {}
    for kind, (_, color) in KINDS.items():
        image = np.zeros((200, 200, 3), np.uint8)
        draw_found(image, np.zeros((0, 4), np.float32), [mistake(kind)], np.ones(4, np.float32))
        bgr = tuple(reversed(bytes.fromhex(color[1:])))
        assert is_at(image, bgr, 22, 90), kind
        solid[kind] = (image[90, 22:79] == bgr).all(axis=1).mean()
    assert solid.pop("missed") < 0.8
    assert min(solid.values()) == 1


def test_right_is_what_is_left_above_the_threshold() -> None:
    one = picture()
    wrong = Mistake("duplicate", BOX + 5, float(np.float32(0.6)), "apple", "apple")
    np.testing.assert_array_equal(right_boxes(one, [wrong], 0.5), BOX[None])
    assert len(right_boxes(one, [], 0.5)) == 2
    assert len(right_boxes(one, [], 0.95)) == 0


def test_each_picture_is_a_pair_that_differs(
    make_analysis: Callable[..., Analysis], tmp_path: Path
) -> None:
    text = worst_pictures(make_analysis(tmp_path, NAMES))
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data in found
    ]
    assert len(images) == 2 * text.count("<figure") >= 4
    for left, right in zip(images[::2], images[1::2], strict=True):
        assert left.shape == right.shape == (288, 480, 3)
        assert (left != right).any()


def worst(path: Path, *mistakes: Mistake) -> WorstPicture:
    return WorstPicture(picture(path), list(mistakes), 1.0)


def told(analysis: Analysis, *pictures: WorstPicture) -> str:
    return worst_pictures(replace(analysis, worst=list(pictures)))


def test_what_is_said(make_analysis: Callable[..., Analysis], tmp_path: Path) -> None:
    analysis = make_analysis(tmp_path, NAMES)
    missed = mistake("missed", float("nan"))
    text = told(analysis, worst(Path("<i>.png"), mistake("classification"), missed, missed, missed))
    assert "&lt;i&gt;.png</b>: apple 60% wrong class (is pear); apple missed (3 times)" in text
    assert "cannot be read any more" in text
    assert "<img" not in text
    many = [replace(mistake("background"), score=0.01 * i) for i in range(1, 11)]
    assert "; and 4 more</figcaption>" in told(analysis, worst(Path("a.png"), *many))
    key = text[: text.index("</ul>")]
    assert "wrong class" in key
    assert "nothing there" not in key


def test_pages_stay_small(
    make_analysis: Callable[..., Analysis], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = make_analysis(tmp_path, NAMES)
    one = worst(Path("gone.png"), mistake("background"))
    assert told(analysis, *[one] * 30).count("<figure") == SHOWN
    assert told(analysis, worst(Path("fine.png"))).count("<figure") == 0
    full = told(analysis, *analysis.worst)
    figures = full[full.index("<figure") :]
    monkeypatch.setattr(module, "BUDGET", len(figures) - 1)
    assert told(analysis, *analysis.worst).count("<figure") == full.count("<figure") - 1
