"""Pictures kept decoded and shrunk in memory; the endless stream of views to learn from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from detector.cpu import usable_cores
from detector.data.account import counted
from detector.data.augment import Augment, View
from detector.data.example import Bool, Example, Float32
from detector.data.shrunk import read_shrunk
from detector.errors import DetectorError, OutOfMemoryError
from detector.images import as_bgr
from detector.training.objective import Truth

UInt8 = npt.NDArray[np.uint8]
KEPT_SIDES = 1.6  # crops of at least 30 % a side lose little at this multiple of the input's side
PLAIN_SHARE = 0.5  # of the budget, for pictures kept as arrays; beyond it they are kept as JPEG
JPEG_QUALITY = 95


class Kept(NamedTuple):
    """A picture as kept. data: BGR array, JPEG bytes, or None to read it again each time.

    size_wh: pixels as kept. scale_xy: those pixels per pixel of the file.
    """

    data: UInt8 | bytes | None
    size_wh: tuple[int, int]
    scale_xy: tuple[float, float]


class Pictures:
    """Every picture of a data set, decoded once, shrunk to what training can use, kept in memory.

    budget: bytes. Pictures beyond half of it are kept as JPEG, and what does not fit then is read
    again each time. `failed`: (example, reason) of pictures that cannot be read, or have boxes but
    none with an area inside; they are left out of `examples`. `dropped_boxes`: how many boxes of
    the others have no area inside their picture and are left out of every view.
    """

    def __init__(self, examples: Sequence[Example], side: int, budget: int = 2 << 30) -> None:
        self.longest = round(side * KEPT_SIDES)
        self.failed: list[tuple[Example, str]] = []
        self.examples: list[Example] = []
        self._kept: list[Kept] = []
        self.used = 0  # bytes of `budget`
        for example, read in self._read_all(examples):
            if isinstance(read, str):
                self.failed.append((example, read))
                continue
            image, scale = read
            self.examples.append(example)
            self._kept.append(Kept(self._fit(image, budget), image.shape[1::-1], scale))
        if not self.examples:
            why = f"; the first: {self.failed[0][1]}" if self.failed else ""
            raise DetectorError(f"none of {counted(len(examples), 'picture')} can be used{why}")
        kept_boxes = (int(self._boxes(i)[1].sum()) for i in range(len(self)))
        self.dropped_boxes = sum(len(e.labels) for e in self.examples) - sum(kept_boxes)

    def __len__(self) -> int:
        return len(self.examples)

    def view(self, index: int) -> View:
        """Picture `index` as kept, boxes clipped to it; a new array each time.

        Raises DetectorError when a picture that is not in memory can no longer be read.
        """
        data, example = self._kept[index].data, self.examples[index]
        if isinstance(data, bytes):
            image = as_bgr(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        else:
            image = data if data is not None else read_shrunk(example.path, self.longest)[0]
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        boxes, whole = self._boxes(index)
        return View(rgb, boxes[whole], example.labels[whole], example.ignore[whole])

    def fractions(self, index: int) -> Float32:
        """The wanted boxes of picture `index`: (G, 4) xyxy as fractions of it."""
        boxes, whole = self._boxes(index)
        wanted = boxes[whole & ~self.examples[index].ignore]
        return np.asarray(wanted / np.array(self._kept[index].size_wh * 2, np.float32), np.float32)

    def _boxes(self, index: int) -> tuple[Float32, Bool]:
        """All boxes of picture `index` in its pixels as kept, clipped; which have an area."""
        _, size_wh, scale_xy = self._kept[index]
        return clipped(self.examples[index].xyxy, size_wh, scale_xy)

    def _fit(self, image: UInt8, budget: int) -> UInt8 | bytes | None:
        """The picture in the plainest form that the budget still has room for; counts its bytes."""
        if self.used + image.nbytes <= PLAIN_SHARE * budget:
            self.used += image.nbytes
            return image
        if self.used >= budget:
            return None
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        if self.used + len(data) > budget:
            return None
        self.used += len(data)
        return data

    def _read_all(
        self, examples: Sequence[Example]
    ) -> Iterator[tuple[Example, tuple[UInt8, tuple[float, float]] | str]]:
        """Each example with its shrunk picture, or why there is none; a few are read ahead."""
        threads = usable_cores()
        waiting: deque[tuple[Example, Future[tuple[UInt8, tuple[float, float]] | str]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for example in examples:
                waiting.append((example, pool.submit(self._try, example)))
                if len(waiting) > 4 * threads:  # else all of them could wait here, outside `budget`
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()

    def _try(self, example: Example) -> tuple[UInt8, tuple[float, float]] | str:
        try:
            image, scale_xy = read_shrunk(example.path, self.longest)
        except OutOfMemoryError:  # nothing is wrong with the picture: it must not be left out
            raise
        except DetectorError as error:
            return str(error)
        size_wh = (image.shape[1], image.shape[0])
        if len(example.labels) and not clipped(example.xyxy, size_wh, scale_xy)[1].any():
            return f"{example.path}: of its boxes ({len(example.labels)}) none has an area inside"
        return image, scale_xy


def clipped(
    xyxy: Float32, size_wh: tuple[int, int], scale_xy: tuple[float, float]
) -> tuple[Float32, Bool]:
    """Boxes (G, 4) scaled and clipped to a picture of `size_wh`, and which (G,) have an area."""
    boxes = xyxy * np.array([*scale_xy, *scale_xy], np.float32)
    boxes = np.clip(boxes, 0, np.array([*size_wh, *size_wh], np.float32))
    whole: Bool = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return boxes, whole


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
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng((self.seed, 1, index))
        change = self.calm if index >= self.calm_from else self.augment
        return to_item(change(self.pictures.view(self.picture(index)), rng))

    def picture(self, index: int) -> int:
        """Which picture sample `index` shows."""
        round_, place = divmod(index, len(self.pictures))
        known, order = self._order
        if known != round_:  # shuffling 100,000 for every sample would take longer than loading it
            order = np.random.default_rng((self.seed, 0, round_)).permutation(len(self.pictures))
            self._order = (round_, order)
        return int(order[place])


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
