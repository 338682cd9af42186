"""int8 to a stated drop: quantise, measure on pictures held back, put back what costs too much."""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from detector import metadata
from detector.data.account import counted, listed
from detector.data.example import Dataset, Example
from detector.errors import DetectorError
from detector.evaluation.run import SCORE
from detector.export.agree import average_precision
from detector.export.quantize import float_graph, int8_graph, with_notes
from detector.export.restore import int8_layers, restore
from detector.export.sensitivity import Batches, ranked
from detector.images import read_image
from detector.predictor import Detector
from detector.preprocess import to_batch

MAX_DROP = 0.3  # points of AP
CALIBRATION, HELD, RANKED = 300, 200, 12  # pictures, at most
EVERY = 4  # of so many training pictures one is held back from calibration
FEW = 8  # below that all pictures are used for both

Say = Callable[[str], None]


@dataclass(frozen=True)
class Int8:
    """An int8 model file in memory, and what was done to keep its AP.

    kept: layers put back into float, the worst first; `layers` could be int8. drop: AP points that
    it loses on `held` training pictures that calibration did not see, nan where they cannot tell;
    plain_drop: with every layer in int8. grown: bytes that `kept` costs.
    """

    proto: onnx.ModelProto
    kept: tuple[str, ...]
    layers: int
    held: int
    plain_drop: float
    drop: float
    grown: int

    def sentence(self) -> str:
        """What was done, for people."""
        where = f"on {counted(self.held, 'training picture')} held back"
        if math.isnan(self.drop):
            return f"all {self.layers} layers in int8; what it loses {where} is unknown"
        if not self.kept:
            return f"all {self.layers} layers in int8: {_lost(self.drop)} {where}"
        return (
            f"{len(self.kept)} of {self.layers} layers kept in float ({listed(self.kept)}), which "
            f"changes the file by {self.grown / 1e3:+,.0f} kB: {_lost(self.drop)} {where}, "
            f"{_lost(self.plain_drop)} without"
        )

    def notes(self) -> dict[str, str]:
        """The same for a model's metadata."""
        lost = "unknown" if math.isnan(self.drop) else _lost(self.drop)
        return {
            "kept_in_float": ", ".join(self.kept),
            "on_held_back": f"{lost}, {counted(self.held, 'training picture')}",
        }


def quantize_to_drop(
    path: Path, train: Dataset, name: str, say: Say, max_drop: float = MAX_DROP
) -> Int8:
    """The int8 form of a float model file that loses at most max_drop AP on held-back pictures.

    train: labelled pictures like those in use, called `name`; a part calibrates, the rest decides.
    Those that the figure of merit is measured on are not to be among them. Raises DetectorError for
    files that cannot be quantised and when no picture can be read.
    """
    calibrating, held = divide(train)
    floats = float_graph(path)
    note = {"calibrated_on": f"{name}, {len(calibrating)} training pictures"}
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        plain = int8_graph(floats, [example.path for example in calibrating])
    layers = int8_layers(plain)
    before = average_precision(Detector(path, score=SCORE), held)
    memory: dict[int, tuple[onnx.ModelProto, float]] = {}
    order: list[str] = []

    def attempt(count: int) -> float:
        """AP lost with the worst `count` layers in float."""
        if count not in memory:
            proto = with_notes(restore(plain, floats, order[:count]), path, note)
            memory[count] = proto, before - _ap(proto, held)
        return memory[count][1]

    count, plain_drop = 0, attempt(0)
    if plain_drop > max_drop:
        say(
            f"int8 loses {plain_drop:.2f} AP on {counted(len(held.examples), 'training picture')} "
            f"held back, more than {max_drop:g}: looking for the layers that cost it"
        )
        order += rank(path, plain, floats, list(layers), calibrating, say)
        count = fewest(lambda n: attempt(n) <= max_drop, len(layers))
    proto, drop = memory[count]
    kept = tuple(layers[one] for one in order[:count])
    grown = proto.ByteSize() - memory[0][0].ByteSize()
    return Int8(proto, kept, len(layers), len(held.examples), plain_drop, drop, grown)


def divide(train: Dataset) -> tuple[list[Example], Dataset]:
    """Examples to calibrate on, and held back from that to decide by; all readable.

    Too few, or without a box among those held back, and all serve for both.
    """
    held = train.examples[EVERY - 1 :: EVERY]
    rest = [example for number, example in enumerate(train.examples, 1) if number % EVERY]
    if len(train.examples) < FEW or not replace(train, examples=held).class_counts().sum():
        held, rest = train.examples, list(train.examples)
    calibrating, judging = _readable(thinned(rest, CALIBRATION)), _readable(thinned(held, HELD))
    if not (calibrating and judging):
        raise DetectorError(
            f"quantize: none of {counted(len(train.examples), 'training picture')} can be read"
        )
    return calibrating, replace(train, examples=tuple(judging))


def rank(
    path: Path,
    plain: onnx.ModelProto,
    floats: onnx.ModelProto,
    layers: Sequence[str],
    examples: Sequence[Example],
    say: Say,
) -> list[str]:
    """Layers by what each alone does to boxes and scores, the worst first."""

    def told(done: int) -> None:
        if done % 20 == 0:
            say(f"{done} of {len(layers)} layers looked at")

    return [name for name, _ in ranked(plain, floats, layers, batches(path, examples), told)]


def batches(path: Path, examples: Sequence[Example]) -> Batches:
    """A few of the pictures as the model file at `path` takes them."""
    side = metadata.read(path).input_size
    return [to_batch(read_image(one.path), (side, side)) for one in thinned(examples, RANKED)]


def fewest(enough: Callable[[int], bool], most: int) -> int:
    """The smallest of 1 .. most that is enough, by doubling and halving; `most` is taken to be.

    Where more is not always better it is one that is enough and whose probed neighbour below is
    not.
    """
    low, high = 0, 1
    while high < most and not enough(high):
        low, high = high, min(2 * high, most)
    if high == most:
        enough(most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def thinned(examples: Sequence[Example], most: int) -> list[Example]:
    """At most `most` of the examples, evenly spread."""
    step = max(1.0, len(examples) / most)
    return [examples[int(i * step)] for i in range(min(most, len(examples)))]


def _lost(drop: float) -> str:
    """`0.25 AP lost`, `0.10 AP gained`."""
    return f"{abs(drop):.2f} AP {'gained' if drop <= -0.005 else 'lost'}"


def _ap(proto: onnx.ModelProto, data: Dataset) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model-int8.onnx"
        path.write_bytes(proto.SerializeToString(deterministic=True))
        return average_precision(Detector(path, score=SCORE), data)


def _readable(examples: Sequence[Example]) -> list[Example]:
    """Those whose picture can be read; how many of the rest there are, the data's account says."""
    kept = []
    for example in examples:
        with contextlib.suppress(DetectorError):
            read_image(example.path)
            kept.append(example)
    return kept
