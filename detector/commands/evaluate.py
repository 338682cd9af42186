"""`detector evaluate`: how good a detector is on labelled pictures."""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from detector.commands.options import ModelGroup, ModelOptions, shown
from detector.errors import DetectorError

if TYPE_CHECKING:
    from detector.evaluation.judged import Data, Judged, Model

# None first, as in `options.Names`.
Pair = None | tuple[Path, Path]


@dataclass(frozen=True)
class Evaluate:
    """How good a model is on labelled pictures: COCO's and VOC's AP, and where its mistakes are.

    Needs the train extra. Besides model files, --model takes best.ckpt of a run and .safetensors.
    """

    data: Annotated[Path | None, shown("DATA")] = None
    """A data card (.yaml), a folder with VOC, COCO, YOLO, CSV, LabelMe or CVAT labels, or a COCO
    json."""
    split: Annotated[str | None, shown("NAME", "val, or all where the data has no splits")] = None
    """Which pictures: train, val, test or all."""
    detections: Annotated[Path | None, shown("FILE")] = None
    """Judge these detections and run no model: a JSON list in COCO's results format, or a COCO json
    whose boxes have scores. With a COCO json as --data the pictures need not be there."""
    out: Annotated[Path | None, shown("FOLDER")] = None
    """Write metrics.json, detections.json, truth.json, report.html and figures/ (SVG, PNG) there.
    If it is stopped, the same command goes on where it was."""
    compare: Annotated[Pair, shown("A B")] = None
    """Two folders that --out wrote, or with --data two results files: is B better than A, or only
    luckier? Of two metrics.json or training runs only the figures."""
    options: ModelGroup = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Prints figures, a table of the classes and what mistakes cost."""
        if self.compare is not None:
            if self.out is not None or self.detections is not None:
                raise DetectorError(
                    "--compare only prints, and takes its two files itself; leave out --out and "
                    "--detections"
                )
            return _compare(self.compare, self.data, self.split)
        if self.data is None:
            raise DetectorError(
                "evaluate: no --data; expected a data card (.yaml), a folder of labelled pictures "
                "or a COCO json (or --compare A B)"
            )
        from detector.evaluation.judged import judge_file, judge_model, open_data
        from detector.outfile import make_folder

        if self.out is not None:
            make_folder(self.out, "--out")
        if self.detections is not None:
            if self.options.model != "coco":
                raise DetectorError("--detections runs no model; leave out --model or --detections")
            data = open_data(self.data, self.split, unseen=True)
            _say(data.notes)
            title, judged = self.detections.name, judge_file(self.detections, data)
        else:
            model = load_model(self.options)
            data = open_data(self.data, self.split, model.trained_on)
            _say(data.notes)
            title, judged = model.title, judge_model(model, data, self.out)
        _say(judged.notes)
        _report(title, data, judged, self.out)
        return 0


def _say(notes: list[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def load_model(options: ModelOptions) -> Model:
    """The model file, checkpoint or weights that the options name, ready to be judged."""
    from detector.evaluation.judged import Model
    from detector.evaluation.run import SCORE

    score = SCORE if options.score is None else options.score
    if Path(options.model).suffix in (".ckpt", ".safetensors"):
        return _torch_model(options, score)
    from dataclasses import replace

    from detector.cpu import usable_cores

    streams = options.threads or usable_cores()
    finder = replace(options, score=score).load(streams=streams)
    title = f"{finder.path.name} at {finder.at}, {finder.engine.description}"
    key = [finder.sizes, finder.engine.description, score, finder.iou, finder.top_k]
    key += [options.classes, options.tiles, finder.vote]
    trained_on = finder.metadata.notes.get("trained_on", "")
    return Model(finder, finder.path, title, key, finder.engine.parallel, trained_on)


def _torch_model(options: ModelOptions, score: float) -> Model:
    from detector.detections import Limits
    from detector.evaluation.judged import Model
    from detector.evaluation.torch_detector import TorchDetector, measured_with
    from detector.metadata import MAX_TOP_K
    from detector.predictor import in_range, in_unit
    from detector.training.start import load_network

    path = Path(options.model)
    several = options.scales or options.tiles != 1
    others = options.precision == "int8" or options.classes or several
    if options.engine != "openvino" or others:
        raise DetectorError(
            f"--model {path}: torch runs it, so --engine, --precision int8, --classes, --scales "
            "and --tiles do not apply; leave them out, or `detector export` it first"
        )
    network, card = load_network(path)
    own = measured_with(card)
    limits = Limits(
        in_unit("score", score),
        in_unit("iou", own.iou if options.iou is None else options.iou),
        in_range("top_k", card.top_k if options.top_k is None else options.top_k, 1, MAX_TOP_K),
        in_unit("vote", own.vote if options.vote is None else options.vote),
    )
    finder = TorchDetector(network, card, options.fixed_size(), limits)
    title = f"{path.name} at {finder.size_hw[1]} px, {finder.description}"
    key = [finder.size_hw, finder.description, *astuple(limits)]
    return Model(finder, path, title, key, 1, card.trained_on)


def _report(title: str, data: Data, judged: Judged, out: Path | None) -> None:
    """Print the analysis, and write it where asked."""
    from detector.evaluation.analyse import analyse
    from detector.evaluation.saved import save
    from detector.evaluation.text import analysis_lines

    analysis = analyse(judged.pictures, data.dataset.class_names)
    if out is not None:  # before anything is printed: `| head` ends the command
        save(out, judged.pictures, analysis, judged.identity, {"model": title, "data": data.name})
    print(f"{title}; {data.name}: {analysis.pictures:,} pictures")
    print("\n".join(analysis_lines(analysis)))
    if out is None:
        return
    from detector.evaluation.page import figures, sections, write_figures
    from detector.evaluation.partial import NAME
    from detector.page import write_page

    page = out / "report.html"
    plots = figures(analysis)
    write_page(page, f"Evaluation of {title}", sections(analysis, plots), subtitle=data.name)
    write_figures(out / "figures", plots)
    (out / NAME).unlink(missing_ok=True)
    print(f"\n{page}")


def _compare(places: tuple[Path, Path], data: Path | None, split: str | None) -> int:
    """Print what got better or worse, from whatever the two places hold."""
    from detector.evaluation.compare import compare
    from detector.evaluation.judged import judge_file, open_data
    from detector.evaluation.saved import DETECTIONS, is_whole, load, load_figures
    from detector.evaluation.text import comparison_lines, figures_lines

    labels = [str(place) for place in places]
    if data is not None:
        truth = open_data(data, split, unseen=True)
        files = [place / DETECTIONS if place.is_dir() else place for place in places]
        before, after = (judge_file(file, truth).pictures for file in files)
        names = truth.dataset.class_names
    elif all(map(is_whole, places)):
        (before, names), (after, other) = map(load, places)
        if names != other:
            raise DetectorError(
                f"--compare: {labels[0]} has {len(names)} classes and {labels[1]} {len(other)}, "
                "not the same; evaluate both with the same --data"
            )
    else:
        before_after = [load_figures(place) for place in places]
        print("\n".join(figures_lines(before_after[0], before_after[1], labels)))
        return 0
    print("\n".join(comparison_lines(compare(before, after, names), *labels)))
    return 0
