"""`detector import-tf`: with `export` and `quantize`, how the embedded model files are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from detector.commands.quantize import pictures_in

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ImportTf:
    """TensorFlow's COCO SSDLite MobileNetV2, as a TensorFlow.js graph, into weights of ours."""

    graph: tyro.conf.Positional[Path]
    """The folder with model.json and its shards."""
    pictures: Path
    """A folder of real pictures (about 300) that the batch norms' statistics are measured on."""
    out: Path
    """The .safetensors file to write."""

    def run(self) -> int:
        """Writes `out`."""
        from detector.classes import COCO_CLASSES
        from detector.export.import_tf import convert, read_tfjs, unfold_batch_norms
        from detector.model.checkpoint import ModelCard, save

        model = convert(read_tfjs(self.graph))
        unfold_batch_norms(model, batches(pictures_in(self.pictures), model.anchors.native_size))
        card = ModelCard(
            class_names=COCO_CLASSES,
            trained_on="COCO 2017 train",
            licence="Apache-2.0",
            source="TensorFlow Object Detection API, ssdlite_mobilenet_v2_coco",
        )
        save(self.out, model, card)
        print(f"written: {self.out}")
        return 0


def batches(pictures: list[Path], side: int, batch: int = 16) -> Iterator[torch.Tensor]:
    """Network inputs (N, 3, side, side) of the pictures, N at most `batch`."""
    import numpy as np
    import torch

    from detector.images import read_image
    from detector.model.checkpoint import images_to_input
    from detector.preprocess import to_batch

    for start in range(0, len(pictures), batch):
        frames = [to_batch(read_image(p), (side, side)) for p in pictures[start : start + batch]]
        rgb = np.ascontiguousarray(np.concatenate(frames)[..., ::-1])
        yield images_to_input(torch.from_numpy(rgb).permute(0, 3, 1, 2))
