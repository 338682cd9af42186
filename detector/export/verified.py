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
from detector.data.split import thinned
from detector.errors import DetectorError
from detector.export.fine_tune import fine_tune
from detector.export.frames import Frames
from detector.export.held import Held, divide, looks
from detector.export.int8_options import Int8Options
from detector.export.quantize import float_graph, int8_graph, with_notes
from detector.export.restore import int8_layers, restore
from detector.export.sensitivity import Batches, ranked

CALIBRATION, HELD, RANKED = 300, 200, 12  # pictures, at most

SEVERAL = 0.2  # of the layers: from there on, float costs size and time that one would notice

DEFAULT = Int8Options()
Say = Callable[[str], None]


@dataclass(frozen=True)
class Int8:
    """An int8 model file in memory, and what was done to keep its AP.

    kept: layers put back into float, the worst first; `layers` could be int8. drop: AP points that
    it loses on `held` training pictures that calibration did not see, nan where they cannot tell;
    plain_drop: with every layer in int8, as first quantised. grown: bytes that `kept` costs. views:
    of pictures that it was fine-tuned on, 0 for not at all.
    """

    proto: onnx.ModelProto
    kept: tuple[str, ...]
    layers: int
    held: int
    plain_drop: float
    drop: float
    grown: int
    views: int = 0

    def sentence(self) -> str:
        """What was done, for people."""
        where = f"on {counted(self.held, 'training picture')} held back"
        if math.isnan(self.drop):
            return f"all {self.layers} layers in int8; what it loses {where} is unknown"
        text = f"fine-tuned on {self.views:,} views, " if self.views else ""
        if self.kept:
            text += (
                f"{len(self.kept)} of {self.layers} layers kept in float ({listed(self.kept)}), "
                f"which changes the file by {self.grown / 1e3:+,.0f} kB"
            )
        else:
            text += f"all {self.layers} layers in int8"
        text += f": {_lost(self.drop)} {where}"
        if self.kept or self.views:
            text += f", {_lost(self.plain_drop)} without"
        if len(self.kept) > SEVERAL * self.layers:
            text += "; `detector quantize` with a larger --max-drop keeps more in int8"
        return text

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
    path: Path,
    train: Dataset,
    name: str,
    say: Say,
    options: Int8Options = DEFAULT,
) -> Int8:
    """The int8 form of a float model file that loses at most max_drop AP on held-back pictures.

    Where all layers in int8 lose more, they learn, and where that is not enough, layers go back
    into float. train: labelled pictures like those in use, called `name`; a part calibrates, the
    rest decides. Those that the figure of merit is measured on are not to be among them. Raises
    DetectorError for files that cannot be quantised and when no picture can be read.
    """
    side = metadata.read(path).input_size
    rest, judging = divide(train)
    frames = Frames([example.path for example in thinned(rest, CALIBRATION)], side)
    judging = thinned(judging, HELD)
    judged = replace(train, examples=tuple(judging))
    held = Held(judged, side, looks(len(judging), side), options.flips)
    if not (len(frames) and len(held)):
        raise DetectorError(
            f"quantize: none of {counted(len(train.examples), 'training picture')} can be read"
        )
    floats = float_graph(path)
    note = {"calibrated_on": f"{name}, {len(frames)} training pictures"}
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        plain = int8_graph(floats, frames)
    shown = [frames[i] for i in thinned(range(len(frames)), RANKED)]
    trial = Trial(path, note, held, held.average_precision(path), shown, options.max_drop, say)
    first = Attempts(plain, floats, trial)
    lost = first.drop_with(0)
    made: Int8 | None = None
    if lost > options.max_drop and options.views:
        say(f"{_too_much(lost, trial)}: fine-tuning")
        seen = thinned(rest, options.views)
        tuned = fine_tune(plain, floats, seen, side, options, say)
        made = _better(Attempts(*tuned, trial, options.views), lost) if tuned else None
    if made is None or len(made.kept) > SEVERAL * made.layers:  # the first may need fewer
        made = min(filter(None, (made, within_drop(first))), key=lambda one: len(one.kept))
    return replace(made, plain_drop=lost)


def _better(learned: Attempts, lost: float) -> Int8 | None:
    """What came of learning; None where it loses as much as before, or too much whatever is done.

    With all its layers in float it is not quite the float file, so that the bound may stay out of
    reach, as it does not without learning.
    """
    if not learned.drop_with(0) < lost:
        return None
    made = within_drop(learned)
    return made if made.drop <= learned.trial.max_drop else None


class Attempts:
    """The files that come of putting more or less layers of one int8 graph back into float.

    int8: a graph with quantisers. floats: the same graph without, which layers are put back from.
    views: it was fine-tuned on.
    """

    def __init__(
        self, int8: onnx.ModelProto, floats: onnx.ModelProto, trial: Trial, views: int = 0
    ) -> None:
        self.int8, self.floats, self.trial, self.views = int8, floats, trial, views
        self.layers = int8_layers(int8)
        self.order: list[str] = []  # those to put back, the worst first
        self._done: dict[int, tuple[onnx.ModelProto, float]] = {}

    def drop_with(self, count: int) -> float:
        """AP lost with the worst `count` layers in float; each is measured once."""
        if count not in self._done:
            trial = self.trial
            proto = restore(self.int8, self.floats, self.order[:count])
            proto = with_notes(proto, trial.path, trial.note)
            self._done[count] = proto, trial.before - _ap(proto, trial.held)
        return self._done[count][1]

    def file_with(self, count: int) -> Int8:
        """That file."""
        drop, proto = self.drop_with(count), self._done[count][0]
        kept = tuple(self.layers[one] for one in self.order[:count])
        grown = proto.ByteSize() - self._done[0][0].ByteSize()
        held = len(self.trial.held)
        return Int8(proto, kept, len(self.layers), held, drop, drop, grown, self.views)


def within_drop(made: Attempts) -> Int8:
    """The file with as many layers put back into float as the drop needs."""
    trial, lost = made.trial, made.drop_with(0)
    if not lost > trial.max_drop:
        return made.file_with(0)
    trial.say(f"{_too_much(lost, trial)}: looking for the layers that cost it")
    made.order += rank(made.int8, made.floats, list(made.layers), trial)
    enough = fewest(lambda count: made.drop_with(count) <= trial.max_drop, len(made.layers))
    return made.file_with(enough)


def _too_much(lost: float, trial: Trial) -> str:
    return (
        f"int8 loses {lost:.2f} AP on {counted(len(trial.held), 'training picture')} held back, "
        f"more than {trial.max_drop:g}"
    )


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
