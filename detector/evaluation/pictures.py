"""The worst pictures, drawn: on the left the truth, on the right what was found and is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
import numpy.typing as npt

from detector.colors import Color, class_color
from detector.data.shrunk import read_shrunk
from detector.detections import Float32
from detector.draw import draw_boxes
from detector.errors import DetectorError
from detector.evaluation.analysis import Analysis, Mistake, Picture, WorstPicture
from detector.evaluation.svg import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from detector.page import photo, printable, swatch

UInt8 = npt.NDArray[np.uint8]
SHOWN = 16  # pictures, at most
SIDE = 480  # pixels of the longer side
BUDGET = 3_500_000  # characters of pictures in the page, at most
NAMED = 6  # mistakes of a picture told in words
GRAY: Color = (150, 150, 150)
WHITE: Color = (255, 255, 255)
# Each kind of mistake in plain words, and its colour.
KINDS = {
    "missed": ("missed", ORANGE),
    "background": ("nothing there", VERMILION),
    "classification": ("wrong class", PURPLE),
    "localisation": ("loose box", SKY),
    "both": ("wrong class, loose box", BLUE),
    "duplicate": ("found twice", GREEN),
}


def worst_pictures(analysis: Analysis) -> str:
    """Pairs of pictures with words, the worst first; pictures that are gone are told in words."""
    figures: list[str] = []
    names = [one.name for one in analysis.classes]
    for worst in analysis.worst:
        if not worst.mistakes:
            continue
        figure = _figure(worst, names, analysis.threshold)
        if len(figures) == SHOWN or sum(map(len, figures)) + len(figure) > BUDGET:
            break
        figures.append(figure)
    return _key({m.kind for w in analysis.worst for m in w.mistakes}) + "".join(figures)


def draw_truth(image_bgr: UInt8, xyxy: Float32, picture: Picture, names: Sequence[str]) -> None:
    """The labelled boxes in their classes' colours, those to ignore gray, into the image itself.

    xyxy: (G, 4) the picture's boxes in the image's pixels. names: of classes, by label.
    """
    colors = [
        GRAY if ignore else class_color(int(label))
        for label, ignore in zip(picture.labels, picture.ignore, strict=True)
    ]
    texts = [
        (names[label], "(ignored)" if ignore else "")
        for label, ignore in zip(picture.labels, picture.ignore, strict=True)
    ]
    draw_boxes(image_bgr, xyxy, colors, texts)


def draw_found(
    image_bgr: UInt8,
    right: Float32,
    mistakes: Sequence[Mistake],
    scale: Float32,
) -> None:
    """What was found: right boxes (R, 4) white and unnamed, mistakes in the colour of their kind.

    Missed boxes are dashed. scale: (4,) image pixels a pixel of the picture.
    """
    draw_boxes(image_bgr, right * scale, [WHITE] * len(right), [("", "")] * len(right))
    boxes = np.array([m.box for m in mistakes], np.float32).reshape(-1, 4)
    draw_boxes(
        image_bgr,
        boxes * scale,
        [_bgr(KINDS[m.kind][1]) for m in mistakes],
        [(m.name, _remark(m)) for m in mistakes],
        dashed=[m.kind == "missed" for m in mistakes],
    )


def right_boxes(picture: Picture, mistakes: Sequence[Mistake], threshold: float) -> Float32:
    """Boxes (R, 4) found with a score of at least `threshold` that are none of the mistakes."""
    found = picture.found[picture.found.scores >= threshold]
    wrong = {(*np.round(m.box, 2).tolist(), round(m.score, 6)) for m in mistakes}
    rows = [
        i
        for i, (box, score, _) in enumerate(found)
        if (*np.round(box, 2).tolist(), round(score, 6)) not in wrong
    ]
    return found.xyxy[rows]


def _figure(worst: WorstPicture, names: Sequence[str], threshold: float) -> str:
    name = printable(worst.picture.path.name)
    told = _sentences(worst.mistakes)
    caption = f"<figcaption><b>{escape(name)}</b>: {escape('; '.join(told))}</figcaption>"
    try:
        image, _ = read_shrunk(worst.picture.path, SIDE)
    except DetectorError:
        return f'<figure class="card"><p>The picture cannot be read any more.</p>{caption}</figure>'
    truth = _enlarged(image)
    found = truth.copy()
    size_wh = np.maximum(worst.picture.size_wh, 1)
    scale = np.tile(truth.shape[1::-1] / size_wh, 2).astype(np.float32)
    draw_truth(truth, worst.picture.xyxy * scale, worst.picture, names)
    right = right_boxes(worst.picture, worst.mistakes, threshold)
    draw_found(found, right, worst.mistakes, scale)
    pair = photo(truth, f"{name}, the truth") + photo(found, f"{name}, what was found")
    return f'<figure class="card"><div class="pair">{pair}</div>{caption}</figure>'


def _enlarged(image_bgr: UInt8) -> UInt8:
    """A copy with a longer side of SIDE pixels, so that labels are as large on small pictures."""
    height, width = image_bgr.shape[:2]
    factor = SIDE / max(height, width)
    wh = max(1, round(width * factor)), max(1, round(height * factor))
    return np.array(cv2.resize(image_bgr, wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def _remark(mistake: Mistake) -> str:
    """What follows the class name on the picture."""
    if mistake.kind == "missed":
        return "missed"
    if mistake.kind in ("classification", "both") and mistake.truth:
        return f"{mistake.score:.0%}: is {mistake.truth}"
    return f"{mistake.score:.0%}: {KINDS[mistake.kind][0]}"


def _sentences(mistakes: Sequence[Mistake]) -> list[str]:
    """The mistakes in words, like ones counted together; NAMED at most."""
    counts = Counter(_sentence(mistake) for mistake in mistakes)
    told = [words if n == 1 else f"{words} ({n} times)" for words, n in counts.items()]
    more = sum(list(counts.values())[NAMED:])
    return [*told[:NAMED], f"and {more} more"] if more else told


def _sentence(mistake: Mistake) -> str:
    score = "" if math.isnan(mistake.score) else f" {mistake.score:.0%}"
    kind = KINDS[mistake.kind][0]
    truth = mistake.truth if mistake.kind in ("classification", "both") else ""
    return printable(f"{mistake.name}{score} {kind}" + (f" (is {truth})" if truth else ""))


def _key(kinds: set[str]) -> str:
    """What the colours mean, for the kinds that occur."""
    items = [
        f"<li>{swatch(color)}<b>{words}</b>{' (dashed)' if kind == 'missed' else ''}</li>"
        for kind, (words, color) in KINDS.items()
        if kind in kinds
    ]
    right = f"<li>{swatch('#fff')}right</li>"
    return f'<ul class="key">{"".join(items)}{right}</ul>' if items else ""


def _bgr(color: str) -> Color:
    """A colour as OpenCV takes it, of #rrggbb."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return blue, green, red
