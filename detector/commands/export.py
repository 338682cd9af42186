"""`detector export`: a network into the files that other programs and devices take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from detector.commands.options import Names, shown, split_names
from detector.errors import DetectorError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from detector.evaluation.judged import Data
    from detector.export.interface import Order
    from detector.export.ship import Made

MOST_APART = 1e-5  # between a network and one of fewer classes, in scores and parts of the frame
PICTURES = 16  # of --data that boxes and scores are compared on; AP is of all
ROUNDS = 30  # of --check, in which each file runs once
OF_CLIP = 40  # without --data every so many frames of the built-in clip


@dataclass(frozen=True)
class Export:
    """A network into model files, each run in its own runtime and compared with torch first.

    A file that does not agree (boxes to 0.5 px, scores to 0.01, AP to 0.1) is not written.
    docs/export.md tells what goes into each format and what comes out. Needs the train extra, and
    for .tflite and .param the export extra.
    """

    weights: Annotated[str, tyro.conf.Positional, shown("WEIGHTS")]
    """A .safetensors file, best.ckpt of a run, or "coco" for the embedded network."""
    out: Annotated[tuple[Path, ...], shown("FILE [FILE ...]")]
    """Files to write; the suffix says which format: .onnx (what this project runs), .xml
    (OpenVINO), .pt2 (torch.export), .tflite (LiteRT), .param (ncnn)."""
    classes: Annotated[Names, shown("NAME [NAME ...]", "all it knows")] = None
    """Keep only these classes, which makes the network smaller and faster."""
    size: Annotated[int | None, shown("PIXELS", "the network's own, mostly 300")] = None
    """Side of the input; .onnx and .xml take any size later, the others only this one."""
    input: Literal["frame", "tensor"] = "frame"
    """frame: uint8 BGR (1, H, W, 3) as OpenCV reads it. tensor: float32 RGB (1, 3, H, W), 0 to 1,
    for hosts that prepare pictures themselves."""
    outputs: Literal["boxes", "raw", "nms"] = "boxes"
    """boxes: decoded boxes and scores. raw: what the heads give, with the anchors in a .json
    beside the file. nms: finished detections (.onnx and .xml)."""
    precision: Literal["float16", "float32"] = "float16"
    """What weights are stored in, but for a few small ones (.pt2: always float32); computing is in
    float32."""
    data: Annotated[Path | None, shown("DATA", "the built-in clip, without AP")] = None
    """Labelled pictures to compare AP on: a data card, a folder or a COCO json."""
    split: Annotated[str | None, shown("NAME", "val, or all where the data has no splits")] = None
    """Which of them: train, val, test or all."""
    check: bool = False
    """Print how each file compares with torch, and how fast it is."""

    def run(self) -> int:
        """Writes the files that agree; DetectorError names the others."""
        from detector.export.ship import check_places, refusal, ship

        whole, order = self._orders()
        check_places(self.out, order)
        data, frames = self._pictures(order)
        for line in _pruned(whole, order, frames):
            print(line)
        made = ship(order, self.out, frames, None if data is None else data.dataset, _threads())
        if self.check:
            print("\n".join(_report(whole, order, made, frames[0], data)))
        for out, one in zip(self.out, made, strict=True):
            if one.agreement.holds:
                print(f"written: {out}")
        if why := refusal(order, made):
            raise DetectorError(why)
        return 0

    def _orders(self) -> tuple[Order, Order]:
        """The network with all of its classes, and what is to be exported of it."""
        from detector.export.interface import Order
        from detector.export.prune import keep_classes
        from detector.predictor import SIZES, in_range
        from detector.training.start import COCO, load_network

        path = COCO if self.weights == "coco" else Path(self.weights)
        model, card = load_network(path)
        own = card.input_size or model.anchors.native_size
        size = in_range("size", own if self.size is None else self.size, *SIZES)
        interface = (self.input, self.outputs, self.precision)
        card = replace(card, input_size=size)
        whole = Order(model.eval(), card, size, *interface, top_k=card.top_k)
        if not (names := split_names(self.classes or ())):
            return whole, whole
        model, card = keep_classes(whole.model, whole.card, names)
        return whole, replace(whole, model=model, card=card)

    def _pictures(self, order: Order) -> tuple[Data | None, list[npt.NDArray[np.uint8]]]:
        """The labelled data, if any, and frames to compare on."""
        if self.data is None:
            return None, _clip()
        from detector.evaluation.judged import class_notes, open_data
        from detector.images import read_image

        data = open_data(self.data, self.split, order.card.trained_on)
        class_notes(order.card.class_names, data.dataset, 0)
        return data, [read_image(one.path) for one in data.dataset.examples[:PICTURES]]


def _clip() -> list[npt.NDArray[np.uint8]]:
    """Frames of the built-in clip of photographs."""
    import cv2
    import numpy as np

    from detector.sample import sample_path

    video = cv2.VideoCapture(str(sample_path()))
    frames: list[npt.NDArray[np.uint8]] = []
    try:
        while (read := video.read())[0]:
            frames.append(np.asarray(read[1], np.uint8))
    finally:
        video.release()
    return frames[::OF_CLIP]


def _threads() -> int:
    from detector.cpu import usable_cores

    return usable_cores()


def _pruned(whole: Order, order: Order, frames: list[npt.NDArray[np.uint8]]) -> list[str]:
    """What fewer classes save; DetectorError if those that stay are scored differently."""
    if whole is order:
        return []
    import numpy as np

    from detector.export.agree import torch_runner
    from detector.export.prune import multiply_adds
    from detector.preprocess import to_batch

    kept = [whole.card.class_names.index(name) for name in order.card.class_names]
    before, after = torch_runner(whole), torch_runner(order)
    for frame in frames:
        batch = to_batch(frame, (order.size, order.size))
        old, new = before(batch), after(batch)
        apart = max(
            np.abs(old["boxes"] - new["boxes"]).max(),
            np.abs(np.float32(old["scores"])[..., kept] - np.float32(new["scores"])).max(),
        )
        if not apart <= MOST_APART:
            raise DetectorError(f"--classes: boxes or scores would change by {apart:.2g}")
    old_cost, new_cost = (multiply_adds(one.model, one.size) for one in (whole, order))
    return [
        f"{len(kept)} of {len(whole.card.class_names)} classes: {old_cost / 1e6:,.0f} -> "
        f"{new_cost / 1e6:,.0f} million multiply-adds ({100 * (new_cost / old_cost - 1):+.0f} %)"
    ]


def _report(
    whole: Order, order: Order, made: list[Made], frame: npt.NDArray[np.uint8], data: Data | None
) -> list[str]:
    """The table of --check, latencies taken in turn on one frame."""
    from functools import partial

    from detector.benchmark.rounds import ratio, spread, take_turns
    from detector.export.agree import torch_runner
    from detector.export.ship import loaded, table
    from detector.preprocess import to_batch

    batch = to_batch(frame, (order.size, order.size))
    runs: dict[str, Any] = {"torch": partial(torch_runner(order), batch)}
    runs.update({one.path.name: partial(one.run, batch) for one in made})
    every = ""
    if whole is not order:
        every = f"{made[0].path.name} with all classes"
        runs[every] = partial(loaded(whole, made[0].path.name, _threads()), batch)
    for run in runs.values():
        run()  # the first is slower
    turns = {name: partial(_ms, run) for name, run in runs.items()}
    laps = take_turns(turns, ROUNDS, lambda _: None)
    ms = {name: spread(values).middle for name, values in laps.items()}
    lines = table(made, ms)
    if every:
        saved = ratio(laps[made[0].path.name], laps[every])
        lines.append(f"{every}: {ms[every]:.1f} ms; fewer take {100 * saved:.0f} % of that")
    best = max(one.agreement.best for one in made)
    where = f"{data.name}, {len(data.dataset.examples)} pictures" if data else "the built-in clip"
    return [f"compared with torch on {where}; best score {best:.2f}", *lines]


def _ms(run: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)
