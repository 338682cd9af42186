"""`detector benchmark`: how fast, side by side in one run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from detector.commands.options import Names, shown, split_names
from detector.errors import DetectorError
from detector.outfile import start_file, write_whole

if TYPE_CHECKING:
    from detector.benchmark.engines import Setup
    from detector.benchmark.machine import Machine

# None first, as in `options.Names`.
Numbers = None | tuple[int, ...]
FileOrNone = None | Path
PLOTS = (".png", ".svg")
MAX_ROUNDS, MAX_FRAMES = 1000, 1_000_000


@dataclass(frozen=True)
class Benchmark:
    """How fast a model is here, with every engine side by side; with --source, end to end.

    Each measurement of a network is a process of its own: a minute or two a round.
    """

    source: Annotated[str | None, shown("VIDEO")] = None
    """Time the demo, the bare engine and OpenCV's own DNN loop on a video file, or "sample"."""
    model: Annotated[str, shown("FILE", "coco")] = "coco"
    """Model file (.onnx) written by this project, or "coco" for the embedded one."""
    engines: Annotated[Names, shown("NAME [NAME ...]", "all but torch-compile")] = None
    """openvino, onnxruntime, opencv, torch, torch-compile (which takes minutes to get ready)."""
    precisions: Annotated[Names, shown("NAME [NAME ...]", "both, if there")] = None
    """float and int8: NAME.onnx and NAME-int8.onnx beside it."""
    threads: Annotated[Numbers, shown("NUMBER [NUMBER ...]", "1 and all; a video all")] = None
    """Cores to use; 0 for all."""
    sizes: Annotated[Numbers, shown("PIXELS [PIXELS ...]", "the model's own")] = None
    """Side of the network's input, 96 to 1280."""
    rounds: int = 5
    """How often each is measured, in turn, after a warm-up; medians are printed."""
    frames: int = 200
    """Frames of the video a round. Without a video, calls a round: at most so many, for a second.
    """
    data: Annotated[FileOrNone, shown("DATA")] = None
    """Labelled pictures (card, folder or COCO json): AP of each row too (needs the train extra)."""
    json: Annotated[str | None, shown("FILE")] = None
    """Write every figure to a JSON file, or to standard output instead of the tables: "-"."""
    plot: Annotated[FileOrNone, shown("FILE")] = None
    """Draw latency, against AP with --data, into a .png or .svg file (needs the train extra)."""

    def run(self) -> int:
        """Prints the machine and markdown tables; writes the files asked for."""
        self._check()
        from detector.benchmark.engines import model_files
        from detector.benchmark.machine import busy_line, this_machine

        machine = this_machine()
        if warning := busy_line(machine):
            _say(warning)
        files = model_files(self.model, split_names(self.precisions or ()), _say)
        if self.source is None:
            self._networks(machine, files)
        else:
            self._video(machine, files, self.source)
        return 0

    def _check(self) -> None:
        """Raise DetectorError for options that make no sense, before anything is measured."""
        from detector.benchmark.engines import LOADERS, PRECISIONS
        from detector.predictor import MAX_THREADS, SIZES, in_range

        for option, value, most in (
            ("--rounds", self.rounds, MAX_ROUNDS),
            ("--frames", self.frames, MAX_FRAMES),
        ):
            in_range(f"benchmark: {option}", value, 1, most)
        for side in self.sizes or ():
            in_range("benchmark: --sizes", side, *SIZES)
        for count in self.threads or ():
            in_range("benchmark: --threads", count, 0, MAX_THREADS)
        _known("--engines", self.engines, LOADERS)
        _known("--precisions", self.precisions, PRECISIONS)
        if self.plot is not None:
            import matplotlib  # noqa: F401  (missing: said now, not after minutes of measuring)

            if self.plot.suffix.lower() not in PLOTS:
                raise DetectorError(f"--plot {self.plot}: expected a {' or '.join(PLOTS)} file")
        for option, path in (("--plot", self.plot), ("--json", self._json_path())):
            if path is not None:
                start_file(path, option).unlink()
        if self.source is not None:
            self._check_video()

    def _check_video(self) -> None:
        from detector.benchmark.engines import TORCH

        several = {"--sizes": self.sizes, "--threads": self.threads}
        for option in (name for name, values in several.items() if values and len(values) > 1):
            raise DetectorError(f"benchmark: {option} takes one number with --source")
        if self.data is not None:
            raise DetectorError("benchmark: --data is for networks; leave out --source")
        for engine in split_names(self.engines or ()):
            if engine in TORCH:
                raise DetectorError(f"benchmark: {engine} does not run with --source; leave it out")

    def _networks(self, machine: Machine, files: dict[str, Path]) -> None:
        """Every engine by itself."""
        from detector.benchmark.network import measure
        from detector.benchmark.plot import draw_networks
        from detector.benchmark.text import network_lines, peak_rows

        setups, notes = self._setups(machine, files)
        if self.data is not None:
            from detector.evaluation.judged import open_data

            notes += open_data(self.data, None).notes
        for note in notes:
            _say(note)
        result = measure(setups, self.rounds, self.frames, _say, self.data)
        rows = [row for row in result.rows if row.timed]
        title = f"{_stem(files)} on {machine.processor}, {machine.cores} cores"
        if self.plot is not None and rows:
            self._write_plot(draw_networks(rows, title, self._form()))
        figures = {"rows": [asdict(row) for row in result.rows], "peaks": peak_rows(result)}
        lines = [f"{_stem(files)}: {self.rounds} rounds", "", *network_lines(result)]
        self._report(machine, lines, {**figures, "left_out": notes})

    def _setups(self, machine: Machine, files: dict[str, Path]) -> tuple[list[Setup], list[str]]:
        """What to measure, and what is left out and why."""
        from detector import metadata
        from detector.benchmark.engines import DEAR, LOADERS
        from detector.benchmark.network import plan

        engines = split_names(self.engines or ()) or [name for name in LOADERS if name not in DEAR]
        counts = [count or machine.cores for count in self.threads or (1, 0)]
        own = metadata.read(next(iter(files.values()))).input_size
        sizes = list(dict.fromkeys(self.sizes or (own,)))
        return plan(files, list(dict.fromkeys(engines)), list(dict.fromkeys(counts)), sizes)

    def _video(self, machine: Machine, files: dict[str, Path], source: str) -> None:
        """Frames to boxes on a video."""
        from detector.benchmark.contest import OPENCV, hold
        from detector.benchmark.plot import draw_video
        from detector.benchmark.text import kept_lines, stage_lines, video_lines
        from detector.sample import sample_path

        contest = hold(
            str(sample_path()) if source == "sample" else source,
            files,
            list(dict.fromkeys(split_names(self.engines or ()))) or ["openvino", "opencv"],
            size=(self.sizes or (None,))[0],
            threads=(self.threads or (0,))[0],
            rounds=self.rounds,
            frames=self.frames,
            say=_say,
        )
        per_second = {name: [lap.per_second for lap in laps] for name, laps in contest.laps.items()}
        title = f"{_stem(files)} on {Path(source).name}, {machine.processor}"
        if self.plot is not None:
            self._write_plot(draw_video(per_second, title, self._form()))
        lines = [f"{source}: {contest.frames} frames a round, {self.rounds} rounds", ""]
        lines += [*video_lines(per_second, OPENCV), *(f"- {note}" for note in contest.notes), ""]
        lines += [*stage_lines(contest.staged), *kept_lines(per_second)]
        laps = {name: [asdict(lap) for lap in each] for name, each in contest.laps.items()}
        figures = {"source": source, "frames": contest.frames, "laps": laps}
        self._report(machine, lines, {**figures, "left_out": contest.notes})

    def _form(self) -> str:
        return "" if self.plot is None else self.plot.suffix[1:].lower()

    def _write_plot(self, content: bytes) -> None:
        if self.plot is not None:
            write_whole(self.plot, content, "--plot")

    def _report(self, machine: Machine, lines: list[str], figures: dict[str, Any]) -> None:
        """Print the tables and write the JSON, both with the machine."""
        from detector.benchmark.machine import machine_line

        about = {"machine": asdict(machine), "model": self.model, "rounds": self.rounds}
        text = json.dumps({**about, **figures}, indent=1)
        if self.json == "-":
            print(text)
            return
        if (path := self._json_path()) is not None:
            write_whole(path, text.encode(), "--json")
        print("\n".join([machine_line(machine), "", *lines]))

    def _json_path(self) -> Path | None:
        return None if self.json in (None, "-") else Path(str(self.json))


def _known(option: str, given: Names, known: Any) -> None:
    """Raise DetectorError for a name that is not one of `known`."""
    for name in split_names(given or ()):
        if name not in known:
            raise DetectorError(f"benchmark: {option} {name}: expected {', '.join(known)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stem(files: dict[str, Path]) -> str:
    """The model's name, without its form."""
    return next(iter(files.values())).stem.removesuffix("-int8")
