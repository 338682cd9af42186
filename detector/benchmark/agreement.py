"""Whether two engines find the same in a picture: a quick answer that is wrong is worth nothing."""

from __future__ import annotations

from collections.abc import Sequence

from detector.detections import Detections

Found = Sequence[float]  # label, score, x1, y1, x2, y2
SAME_IOU = 0.5
ENOUGH = 0.7  # int8 and float agree to 0.9 and more, engines in float to 1
LOWEST_SCORE, MOST = 0.05, 10  # of the detections compared


def agreement(expected: Sequence[Found], found: Sequence[Found]) -> float:
    """What share of `expected` is in `found`, 0..1, detections counting as much as they score.

    One is there when a box of its label overlaps it by SAME_IOU or more and scores half as much or
    more. 1 when nothing is expected.
    """
    total = sum(one[1] for one in expected)
    there = sum(one[1] for one in expected if any(_same(one, other) for other in found))
    return there / total if total else 1.0


def as_found(detections: Detections) -> list[Found]:
    """The best MOST detections, in the form that is compared (and passed between processes)."""
    best = detections[:MOST]
    parts = zip(best.labels.tolist(), best.scores.tolist(), best.xyxy.tolist(), strict=True)
    return [[label, score, *box] for label, score, box in parts]


def disagreement(
    expected: Sequence[Found], found: Sequence[Found], trusted: str, where: str
) -> str:
    """What to say of an engine that does not find what `trusted` finds in `where`, or ''."""
    share = agreement(expected, found)
    if share >= ENOUGH:
        return ""
    return f"computes this file wrongly: it finds {share:.0%} of what {trusted} finds in {where}"


def _same(one: Found, other: Found) -> bool:
    return one[0] == other[0] and other[1] >= one[1] / 2 and _iou(one[2:], other[2:]) >= SAME_IOU


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared) if shared else 0.0
