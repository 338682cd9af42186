"""int8 to a stated drop: quantise, measure on pictures held back, put back what costs too much."""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from detector import metadata
from detector.data.account import counted, listed
from detector.data.example import Dataset
from detector.errors import DetectorError
from detector.export.fine_tune import fine_tune
from detector.export.frames import Frames
from detector.export.held import Held, divide, looks, thinned
from detector.export.int8_options import MAX_DROP
from detector.export.quantize import float_graph, int8_graph, with_notes
from detector.export.restore import int8_layers, restore
from detector.export.sensitivity import Batches, drift, outputs, ranked

CALIBRATION, HELD, RANKED, COMPARED = 300, 200, 12, 60  # pictures, at most

Say = Callable[[str], None]


@dataclass(frozen=True)
class Int8:
    """An int8 model file in memory, and what was done to keep its AP.

    kept: layers put back into float, the worst first; `layers` could be int8. drop: AP points that
    it loses on `held` training pictures that calibration did not see, nan where they cannot tell;
    plain_drop: with every layer in int8. grown: bytes that `kept` costs. views: of pictures that it
    was fine-tuned on, 0 for not at all. drift, rival: where fine-tuning was tried, how far this
    file and the one that was not taken are from float on them (`sensitivity.drift`).
    """

    proto: onnx.ModelProto
    kept: tuple[str, ...]
    layers: int
    held: int
    plain_drop: float
    drop: float
    grown: int
    views: int = 0
    drift: float = math.nan
    rival: float = math.nan

    def sentence(self) -> str:
        """What was done, for people."""
        where = f"on {counted(self.held, 'training picture')} held back"
        if math.isnan(self.drop):
            return f"all {self.layers} layers in int8; what it loses {where} is unknown"
        tuned = f"fine-tuned on {self.views:,} views, " if self.views else ""
        if not self.kept:
            text = f"all {self.layers} layers in int8: {_lost(self.drop)} {where}"
        else:
            text = (
                f"{len(self.kept)} of {self.layers} layers kept in float ({listed(self.kept)}), "
                f"which changes the file by {self.grown / 1e3:+,.0f} kB: {_lost(self.drop)} "
                f"{where}, {_lost(self.plain_drop)} without"
            )
        if not math.isnan(self.rival):
            other = "without fine-tuning" if self.views else "fine-tuned"
            text += f"; {self.drift:.3f} from float there, {other} {self.rival:.3f}"
        return tuned + text

    def notes(self) -> dict[str, str]:
        """The same for a model's metadata."""
        lost = "unknown" if math.isnan(self.drop) else _lost(self.drop)
        tuned = {"fine_tuned": f"{self.views} views of training pictures"} if self.views else {}
        return {
            "kept_in_float": ", ".join(self.kept),
            "on_held_back": f"{lost}, {counted(self.held, 'training picture')}",
            **tuned,
        }


@dataclass(frozen=True)
class Trial:
    """What int8 forms of the float file at `path` are tried with.

    before: AP of the float file on `held`. shown: what layers are ranked by. note: for metadata.
    """

    path: Path
    note: Mapping[str, str]
    held: Held
    before: float
    shown: Batches
    max_drop: float
    say: Say


def quantize_to_drop(
    path: Path, train: Dataset, name: str, say: Say, max_drop: float = MAX_DROP, views: int = 0
) -> Int8:
    """The int8 form of a float model file that loses at most max_drop AP on held-back pictures.

    train: labelled pictures like those in use, called `name`; a part calibrates, the rest decides.
    Those that the figure of merit is measured on are not to be among them. views: how many to
    fine-tune on; the better of both files is returned. Raises DetectorError for files that cannot
    be quantised and when no picture can be read.
    """
    side = metadata.read(path).input_size
    rest, judging = divide(train)
    frames = Frames([example.path for example in thinned(rest, CALIBRATION)], side)
    judging = thinned(judging, HELD)
    held = Held(replace(train, examples=tuple(judging)), side, looks(len(judging)))
    if not (len(frames) and len(held)):
        raise DetectorError(
            f"quantize: none of {counted(len(train.examples), 'training picture')} can be read"
        )
    floats = float_graph(path)
    note = {"calibrated_on": f"{name}, {len(frames)} training pictures"}
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        plain = int8_graph(floats, frames)
    shown = [frames[i] for i in thinned(range(len(frames)), RANKED)]
    trial = Trial(path, note, held, held.average_precision(path), shown, max_drop, say)
    made = within_drop(plain, floats, trial)
    if not views or math.isnan(made.drop):
        return made
    say(made.sentence())
    tuned = fine_tune(plain, floats, thinned(rest, views), side, views, say)
    if tuned is None:
        say("fine-tuning went astray and is left out")
        return made
    files = made, replace(within_drop(*tuned, trial), views=views)
    seen = [held.frames[i] for i in thinned(range(len(held)), COMPARED)]
    wanted = outputs(floats, seen)
    without, learned = (replace(f, drift=drift(wanted, outputs(f.proto, seen))) for f in files)
    return better(without, learned, max_drop)


def better(plain: Int8, tuned: Int8, max_drop: float) -> Int8:
    """Which to ship: one within the drop, and then the one closer to float; level, the plain one.

    AP on some dozen pictures tells losses of several points from none, but not which of two files
    that lose little is better: there it swings by more than the two differ.
    """
    taken, other = sorted((plain, tuned), key=lambda one: (one.drop > max_drop, one.drift))
    return replace(taken, rival=other.drift)


def within_drop(int8: onnx.ModelProto, floats: onnx.ModelProto, trial: Trial) -> Int8:
    """The model file with as many layers put back into float as the drop needs.

    int8: a graph with quantisers. floats: the same graph without, which layers are put back from.
    """
    layers = int8_layers(int8)
    memory: dict[int, tuple[onnx.ModelProto, float]] = {}
    order: list[str] = []

    def attempt(count: int) -> float:
        """AP lost with the worst `count` layers in float."""
        if count not in memory:
            proto = with_notes(restore(int8, floats, order[:count]), trial.path, trial.note)
            memory[count] = proto, trial.before - _ap(proto, trial.held)
        return memory[count][1]

    count, plain_drop = 0, attempt(0)
    if plain_drop > trial.max_drop:
        trial.say(
            f"int8 loses {plain_drop:.2f} AP on {counted(len(trial.held), 'training picture')} "
            f"held back, more than {trial.max_drop:g}: looking for the layers that cost it"
        )
        order += rank(int8, floats, list(layers), trial)
        count = fewest(lambda n: attempt(n) <= trial.max_drop, len(layers))
    proto, drop = memory[count]
    kept = tuple(layers[one] for one in order[:count])
    grown = proto.ByteSize() - memory[0][0].ByteSize()
    return Int8(proto, kept, len(layers), len(trial.held), plain_drop, drop, grown)


def rank(
    int8: onnx.ModelProto, floats: onnx.ModelProto, layers: Sequence[str], trial: Trial
) -> list[str]:
    """Layers by what each alone does to boxes and scores, the worst first."""

    def told(done: int) -> None:
        if done % 20 == 0:
            trial.say(f"{done} of {len(layers)} layers looked at")

    return [name for name, _ in ranked(int8, floats, layers, trial.shown, told)]


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


def _lost(drop: float) -> str:
    """`0.25 AP lost`, `0.10 AP gained`."""
    return f"{abs(drop):.2f} AP {'gained' if drop <= -0.005 else 'lost'}"


def _ap(proto: onnx.ModelProto, held: Held) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model-int8.onnx"
        path.write_bytes(proto.SerializeToString(deterministic=True))
        return held.average_precision(path)
