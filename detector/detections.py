"""What was found in one picture, and the non-maximum suppression and voting that made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detections:
    """Boxes found in one picture, best score first.

    xyxy: (D, 4) float32, pixels of the picture: left, top, right, bottom.
    scores: (D,) float32 in 0..1.
    labels: (D,) int64 in 0..K-1, an index into `class_names`.
    class_names: the K names the model knows.
    """

    xyxy: Float32
    scores: Float32
    labels: Int64
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        d = len(self.scores)
        if self.xyxy.shape != (d, 4) or self.labels.shape != (d,):
            raise ValueError(
                f"{d} scores need xyxy of shape ({d}, 4) and labels of shape ({d},), "
                f"got {self.xyxy.shape} and {self.labels.shape}"
            )

    @classmethod
    def empty(cls, class_names: tuple[str, ...]) -> Detections:
        """No detections: xyxy of shape (0, 4)."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
            class_names,
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: npt.NDArray[np.bool_] | Int64 | slice) -> Detections:
        """The detections picked by a mask, an index array or a slice."""
        return Detections(
            self.xyxy[index], self.scores[index], self.labels[index], self.class_names
        )

    def __iter__(self) -> Iterator[tuple[Float32, float, str]]:
        """One (xyxy (4,), score, name) a detection."""
        for box, score, name in zip(self.xyxy, self.scores, self.names, strict=True):
            yield box, float(score), name

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [self.class_names[label] for label in self.labels]


@dataclass(frozen=True)
class Limits:
    """Which of a network's boxes are shown, and where.

    score: the least, in 0..1. iou: in 0..1; of two boxes of a class that overlap by more, the
    better is kept. top_k: how many at most. vote: in 0..1, how much those that overlap one that is
    kept pull it (the `spread` of `voted`), and its score down where they disagree; 0: neither.
    """

    score: float
    iou: float
    top_k: int
    vote: float = 0.0

    @property
    def least(self) -> float:
        """The score from which a box counts for anything."""
        return self.score * VOTER if self.vote else self.score


def select(
    boxes: Float32,
    scores: Float32,
    frame_hw: tuple[int, ...],
    class_names: tuple[str, ...],
    limits: Limits,
    columns: Int64 | None = None,
) -> Detections:
    """What a network found in a frame within `limits`: thresholds, NMS, voting; in pixels.

    boxes: (A, 4) xyxy as fractions of the frame, clipped to it here. scores: (A, K) in 0..1.
    frame_hw: height and width; (1, 1) keeps fractions. columns: the labels to look at, ascending;
    None for all. The result is a copy: an engine may write over its `boxes` and `scores` again.
    """
    if columns is not None:
        scores = np.ascontiguousarray(scores[:, columns])
    flat = np.flatnonzero(scores.ravel() >= limits.least)  # one anchor may have several classes
    rows, labels = np.divmod(flat, scores.shape[1])
    height, width = frame_hw
    xyxy = np.clip(boxes[rows], 0, 1) * np.array([width, height, width, height], np.float32)
    values = scores.ravel()[flat]
    inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    xyxy, values, labels = xyxy[inside], values[inside], labels[inside]
    shown = np.flatnonzero(values >= limits.score)
    kept = shown[nms(xyxy[shown], values[shown], labels[shown], limits.iou, limits.top_k)]
    found = Detections(xyxy[kept], values[kept], labels[kept], class_names)
    if limits.vote:
        placed, agreed = voted(xyxy, values, labels, kept, limits.vote)
        found = _best_first(replace(found, xyxy=placed, scores=found.scores * agreed), limits.score)
    return found if columns is None else replace(found, labels=columns[found.labels])


def _best_first(found: Detections, score: float) -> Detections:
    """Those that score as much, best first; ties keep their order."""
    order = np.argsort(-found.scores, kind="stable")
    return found[order[found.scores[order] >= score]]


# Boxes per call of OpenCV's suppression, which compares all with all that were kept: small enough
# that 10,000 candidates cost milliseconds, large enough that a usual frame takes one call.
_CHUNK = 400


def nms(xyxy: Float32, scores: Float32, labels: Int64, iou: float, top_k: int) -> Int64:
    """Greedy non-maximum suppression within each class: indices of what stays, best first.

    xyxy: (D, 4). scores, labels: (D,). iou: in 0..1; a box is dropped when it overlaps a better one
    of its class by more. top_k: how many to keep at most; time grows with its square once it
    passes a few hundred. Ties keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) == 0:
        return order
    boxes = xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]  # OpenCV wants xywh
    # Moved apart, boxes of different classes never overlap, and one call serves all classes.
    low, high = float(xyxy.min()), float(xyxy.max())
    boxes[:, :2] += (labels * (high - low + 1.0) - low)[:, None]
    kept = order[:0]
    for start in range(0, len(order), _CHUNK):
        tried = np.concatenate([kept, order[start : start + _CHUNK]])
        # Ranks in place of scores: OpenCV drops a score of 0, and order is all that matters.
        ranks = list(range(len(tried), 0, -1))
        index = cv2.dnn.NMSBoxes(boxes[tried], ranks, 0.0, iou)
        kept = tried[np.asarray(index, np.int64)][:top_k]
        if len(kept) == top_k:
            break
    return kept


VOTER = 0.5  # boxes that score less than this share of another one's have no vote on it
AGREEING = 4  # times the spread: how far around voters are asked if they agree; a square twice
LEAST_SPREAD = 1e-6
_PAIRS = 100_000  # of a box and a voter looked at in one go: what a core's cache holds


def voted(
    xyxy: Float32, scores: Float32, labels: Int64, kept: Int64, spread: float
) -> tuple[Float32, Float32]:
    """Where the boxes `kept` lie by the vote of those that overlap them, and how far these agree.

    kept: (D,), best first, of xyxy (B, 4), scores and labels (B,). spread: 0..1. Returns the boxes
    (D, 4), and (D,) in 0..1 to multiply their scores by.

    Each is the mean of its class's boxes, itself among them, weighted by exp(-(1 - IoU)^2 / spread)
    times what they score above VOTER times its own score (so that no threshold on scores moves it):
    box voting (Gidaris and Komodakis 2015, arXiv 1505.01749) with the weights of He et al. 2019,
    arXiv 1809.08545, section 3.3, scores in place of their learned variances. They agree as much as
    their mean IoU with it, weighted in the same way, but with AGREEING times the spread: where a
    network is not sure how far an object goes, its neighbouring anchors say different things.
    Where nobody has a vote a box stays, and agreement is 1.
    """
    placed, agreed = xyxy[kept], np.ones(len(kept), np.float32)
    order = np.argsort(-scores, kind="stable")
    for label in np.unique(labels[kept]):
        voters = order[labels[order] == label]
        falling = -scores[voters]
        places = np.flatnonzero(labels[kept] == label)
        step = max(1, _PAIRS // len(voters))
        for some in np.split(places, range(step, len(places), step)):
            needed = scores[kept[some]] * np.float32(VOTER)
            able = voters[: np.searchsorted(falling, -needed.min(), side="right")]
            poll = _poll(placed[some], needed, xyxy[able], scores[able], spread)
            placed[some], agreed[some] = poll
    return placed, agreed


def _poll(
    own: Float32, needed: Float32, boxes: Float32, scores: Float32, spread: float
) -> tuple[Float32, Float32]:
    """Boxes own (D, 4) by the vote of boxes (V, 4) that score above needed (D,); see `voted`."""
    overlap = pairwise_iou(own, boxes)
    above = np.maximum(scores - needed[:, None], 0)
    above *= overlap > 0
    near = np.square(1 - overlap)
    near /= np.float32(-AGREEING * max(spread, LEAST_SPREAD))
    np.exp(near, out=near)
    around = above * near
    votes = np.square(np.square(near, out=near), out=near)  # to the power of AGREEING
    votes *= above
    total = votes.sum(axis=1, dtype=np.float64)  # float32's means may lie out of the frame
    some = total > 0
    placed, agreed = own.copy(), np.ones(len(own), np.float32)
    placed[some] = (votes @ boxes.astype(np.float64))[some] / total[some, None]
    agreed[some] = (around * overlap).sum(axis=1)[some] / around.sum(axis=1)[some]
    return placed, np.minimum(agreed, 1, out=agreed)


def pairwise_iou(a: Float32, b: Float32) -> Float32:
    """(M, 4) and (N, 4) xyxy to (M, N); 0 where a box has no area."""
    inter = _shared_length(a[:, 0::2], b[:, 0::2])
    inter *= _shared_length(a[:, 1::2], b[:, 1::2])
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (a, b)]
    union = np.add.outer(areas[0], areas[1])
    union -= inter
    inter /= np.maximum(union, np.float32(1e-30), out=union)
    return np.asarray(inter, np.float32)


def _shared_length(a: Float32, b: Float32) -> Float32:
    """How much of each two intervals is in both: (M, 2) and (N, 2) to (M, N)."""
    length = np.minimum.outer(a[:, 1], b[:, 1])
    length -= np.maximum.outer(a[:, 0], b[:, 0])
    return np.maximum(length, 0, out=length)
