"""A network still in torch, as the runtime sees its model file: for checkpoints and weights."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch

from detector.detections import Detections, Limits, select
from detector.evaluation.run import SCORE, counted_by_ap
from detector.metadata import IOU
from detector.model.anchors import anchors_cxcywh
from detector.model.boxes import decode
from detector.model.checkpoint import ModelCard, images_to_input
from detector.model.ssdlite import SSDLite
from detector.predictor import SIZES, Timing, in_range
from detector.preprocess import to_batch


def measured_with(card: ModelCard) -> Limits:
    """What a network is measured with: all that counts of what its files find, from SCORE on."""
    return Limits(SCORE, IOU, counted_by_ap(card.top_k, len(card.class_names)), card.vote)


class TorchDetector:
    """Detects with a network in eval mode, and its card. side: of the input, None for the card's.

    limits: None for `measured_with`. Raises DetectorError for a side beyond what the runtime takes.
    """

    def __init__(
        self,
        model: SSDLite,
        card: ModelCard,
        side: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        own = card.input_size or model.anchors.native_size
        side = in_range("size", own if side is None else side, *SIZES)
        self.size_hw = (side, side)
        self.class_names = card.class_names
        self.model = model.eval()
        self.limits = limits or measured_with(card)
        self._anchors = anchors_cxcywh(model.anchors, self.size_hw)
        self.description = f"torch {torch.__version__}, {torch.get_num_threads()} threads"

    @torch.inference_mode()
    def detect_timed(self, frame_bgr: npt.NDArray[np.uint8]) -> tuple[Detections, Timing]:
        """See `detector.predictor.Detector`."""
        start = time.perf_counter()
        batch = to_batch(frame_bgr, self.size_hw)
        prepared = time.perf_counter()
        rgb = torch.from_numpy(np.ascontiguousarray(batch[..., ::-1])).permute(0, 3, 1, 2)
        logits, offsets = self.model(images_to_input(rgb))
        boxes, scores = decode(offsets[0], self._anchors).numpy(), logits[0].sigmoid().numpy()
        inferred = time.perf_counter()
        found = select(boxes, scores, frame_bgr.shape[:2], self.class_names, self.limits)
        done = time.perf_counter()
        seconds = (prepared - start, inferred - prepared, done - inferred)
        return found, Timing(*(1e3 * s for s in seconds))
