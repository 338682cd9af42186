"""Pictures kept decoded and shrunk in memory, and the endless stream of views training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from detector.data.augment import Augment, View
from detector.data.example import Example
from detector.engine import usable_cores
from detector.errors import DetectorError
from detector.images import read_image
from detector.training.objective import Truth

UInt8 = npt.NDArray[np.uint8]
KEPT_SIDES = 1.6  # crops of at least 30 % a side lose little at this multiple of the input's side
PLAIN_SHARE = 0.5  # of the budget, for pictures kept as arrays; beyond it they are kept as JPEG
JPEG_QUALITY = 95


class Pictures:
    """Every picture of a data set, decoded once, shrunk to what training can use, kept in memory.

    budget: bytes. Pictures beyond half of it are kept as JPEG, and what does not fit then is read
    again each time. `failed`: (example, reason) of pictures that could not be read; they are left
    out of `examples`.
    """

    def __init__(self, examples: Sequence[Example], side: int, budget: int = 2 << 30) -> None:
        self.longest = round(side * KEPT_SIDES)
        self.failed: list[tuple[Example, str]] = []
        self.examples: list[Example] = []
        self._kept: list[UInt8 | bytes | None] = []
        self._scales: list[tuple[float, float]] = []
        used = 0
        with ThreadPoolExecutor(usable_cores()) as pool:
            for example, read in zip(examples, pool.map(self._try, examples), strict=True):
                if isinstance(read, str):
                    self.failed.append((example, read))
                    continue
                image, scale = read
                kept: UInt8 | bytes | None = image if used < PLAIN_SHARE * budget else _jpeg(image)
                if kept is not None and used >= budget:
                    kept = None
                used += 0 if kept is None else len(kept) if isinstance(kept, bytes) else kept.nbytes
                self.examples.append(example)
                self._kept.append(kept)
                self._scales.append(scale)
        if not self.examples:
            why = f"; the first: {self.failed[0][1]}" if self.failed else ""
            raise DetectorError(f"none of {len(examples)} pictures can be read{why}")

    def __len__(self) -> int:
        return len(self.examples)

    def view(self, index: int) -> View:
        """Picture `index` as kept, with its boxes clipped to it; boxes without area are left out."""
        kept, example = self._kept[index], self.examples[index]
        if isinstance(kept, bytes):
            image = cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_COLOR)
        elif kept is None:
            image, _ = self._read(example)
        else:
            image = kept
        height, width = image.shape[:2]
        sx, sy = self._scales[index]
        boxes = example.xyxy * np.array([sx, sy, sx, sy], np.float32)
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        whole = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return View(
            np.asarray(rgb, np.uint8), boxes[whole], example.labels[whole], example.ignore[whole]
        )

    def _try(self, example: Example) -> tuple[UInt8, tuple[float, float]] | str:
        try:
            return self._read(example)
        except DetectorError as error:
            return str(error)

    def _read(self, example: Example) -> tuple[UInt8, tuple[float, float]]:
        image = read_image(example.path)
        height, width = image.shape[:2]
        shrink = min(1.0, self.longest / max(height, width))
        if shrink < 1.0:
            wh = max(1, round(width * shrink)), max(1, round(height * shrink))
            # Area averaging for large steps: what bilinear would alias is gone for good here.
            image = np.asarray(cv2.resize(image, wh, interpolation=cv2.INTER_AREA), np.uint8)
        return image, (image.shape[1] / width, image.shape[0] / height)


def _jpeg(image: UInt8) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


Item = tuple[Tensor, Truth]


class Stream(TorchDataset[Item]):
    """Sample i of endless shuffled, augmented training: a function of `seed` and i alone.

    That makes resuming exact with no state of workers to restore: a run goes on with sample
    step x batch. Every picture comes once before any comes again. `calm_from`: the first sample
    that is only flipped.
    """

    def __init__(
        self, pictures: Pictures, augment: Augment, calm: Augment, seed: int, calm_from: int
    ) -> None:
        self.pictures, self.augment, self.calm = pictures, augment, calm
        self.seed, self.calm_from = seed, calm_from

    def __getitem__(self, index: int) -> Item:
        round_, place = divmod(index, len(self.pictures))
        order = np.random.default_rng((self.seed, 0, round_)).permutation(len(self.pictures))
        rng = np.random.default_rng((self.seed, 1, index))
        change = self.calm if index >= self.calm_from else self.augment
        return to_item(change(self.pictures.view(int(order[place])), rng))


def to_item(view: View) -> Item:
    """A view as tensors: (3, S, S) uint8 RGB, boxes as fractions of it."""
    height, width = view.image_rgb.shape[:2]
    image = torch.from_numpy(np.ascontiguousarray(view.image_rgb)).permute(2, 0, 1)
    xyxy = torch.from_numpy(view.xyxy / np.array([width, height] * 2, np.float32))
    return image, Truth(xyxy, torch.from_numpy(view.labels), torch.from_numpy(view.ignore))


def collate(items: list[Item]) -> tuple[Tensor, list[Truth]]:
    """Items -> (N, 3, S, S) uint8 in channels-last memory, and a list of truths."""
    images = torch.stack([image for image, _ in items])
    return images.contiguous(memory_format=torch.channels_last), [truth for _, truth in items]
