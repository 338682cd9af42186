"""`detector quantize`: a float model file into its int8 form, to a stated drop of AP."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from detector.commands.options import shown
from detector.errors import DetectorError
from detector.export.int8_options import MAX_DROP, VIEWS, Int8Options
from detector.training import process

if TYPE_CHECKING:
    from detector.training.artefacts import ModelFile
    from detector.training.judge import Measured


@dataclass(frozen=True)
class Quantize:
    """A float model file into its int8 form, with both measured (docs/int8.md).

    With --data the training pictures calibrate it and decide whether it is fine-tuned and which
    layers stay in float, and the val pictures say how good both files are. Needs the train extra.
    """

    model: tyro.conf.Positional[Path]
    """The float .onnx file to read."""
    data: Annotated[Path | None, shown("DATA")] = None
    """Labelled pictures: a data card or a folder, whose train split is used to quantise."""
    pictures: Annotated[Path | None, shown("FOLDER")] = None
    """Instead of --data, a folder of pictures like those in use (about 300), never those you will
    measure on. Nothing is measured then."""
    max_drop: float = MAX_DROP
    """Points of AP that int8 may lose on training pictures held back from calibration. Where it
    loses more it is fine-tuned, and then layers are kept in float, those that cost most first."""
    fine_tune: bool = True
    """Where int8 loses more than that, let it learn, rounding in the loop, to do as the float
    network; takes minutes."""
    views: int = VIEWS
    """How many random views of the training pictures it learns from."""
    out: Annotated[Path | None, shown("FILE", "NAME-int8.onnx beside the model")] = None
    """The .onnx file to write."""

    def run(self) -> int:
        """Writes `out`."""
        process.prepare()  # before torch is loaded, which learns where int8 loses too much
        from detector.outfile import start_file

        out = self.out or self.model.with_name(f"{self.model.stem}-int8.onnx")
        if (self.data is None) == (self.pictures is None):
            raise DetectorError(
                "quantize: expected either --data (labelled pictures, to measure too) or "
                "--pictures (a folder of pictures)"
            )
        self._check()
        if out.resolve() == self.model.resolve():
            raise DetectorError(f"--out {out}: is the model itself; give another name")
        start_file(out, "--out").unlink()
        if self.data is not None:
            self._to_drop(self.data, out)
        elif self.pictures is not None:
            self._unmeasured(self.pictures, out)
        return 0

    def _check(self) -> None:
        if not self.max_drop >= 0:
            raise DetectorError(f"--max-drop {self.max_drop:g}: expected points of AP, 0 or more")
        chosen = (self.max_drop, self.fine_tune, self.views) != (MAX_DROP, True, VIEWS)
        if self.data is None and chosen:
            raise DetectorError(
                "--max-drop, --fine-tune, --views: need --data; pictures without labels cannot "
                "tell what int8 loses"
            )
        if self.views < 1:
            raise DetectorError(f"--views {self.views}: expected 1 or more")

    def _unmeasured(self, folder: Path, out: Path) -> None:
        from detector.export.onnx import write
        from detector.export.quantize import quantize

        found = pictures_in(folder)
        note = {"calibrated_on": f"{folder.resolve().parent.name}, {len(found)} pictures"}
        write(out, quantize(self.model, found, note))
        print(f"written: {out}; AP not measured, since pictures without labels cannot tell")

    def _to_drop(self, data: Path, out: Path) -> None:
        from detector.data.account import account
        from detector.data.flips import flips_for
        from detector.data.load import load_splits, open_card
        from detector.evaluation.judged import class_notes
        from detector.export.quantize import float_graph
        from detector.metadata import read
        from detector.training.artefacts import write_int8
        from detector.training.judge import measure

        float_graph(self.model)  # before the work, what cannot be quantised
        splits = load_splits(data)
        train, val = splits["train"], splits["val"]
        for line in account(train, val):
            _say(line)
        class_notes(read(self.model).class_names, val, 0)  # refuses data of other classes
        _say("measuring the float file")
        floats = measure(self.model, val.examples, val.class_names)
        _say("quantising to int8 on training pictures and measuring it")
        name = open_card(data).name
        views = self.views if self.fine_tune else 0
        options = Int8Options(self.max_drop, views, flips=flips_for(train.class_names))
        made = write_int8(self.model, out, train, val, name, floats, _say, options)
        print("\n".join(_table(self.model, floats, made)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(model: Path, floats: Measured, made: ModelFile) -> list[str]:
    """Both files: size, AP, and milliseconds a picture, which on a busy machine only compare."""
    width = max(len(model.name), len(made.path.name))
    lines = [f"{'':{width}}     MB     AP   AP50      ms"]
    rows = ((model, model.stat().st_size, floats), (made.path, made.size, made.measured))
    for path, size, measured in rows:
        figures = measured.analysis.figures
        lines.append(
            f"{path.name:{width}}  {size / 1e6:5.2f}  {figures['AP']:5.2f}  "
            f"{figures['AP50']:5.2f}  {measured.latency_ms:6.1f}"
        )
    lines.append(f"on {floats.analysis.pictures:,} val pictures, which decided nothing")
    return [*lines, made.int8.sentence()] if made.int8 else lines


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted; DetectorError when there are none."""
    from detector.images import IMAGE_SUFFIXES

    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        expected = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DetectorError(f"{folder}: no pictures in it; expected names ending in {expected}")
    return found
