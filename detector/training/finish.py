"""What a run leaves once it has trained: its model files, figures and report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from detector.data.flips import flips_for
from detector.export.int8_options import BATCH, Int8Options
from detector.model.checkpoint import ModelCard
from detector.training import artefacts
from detector.training.callbacks import BEST, Pace
from detector.training.folder import read_command
from detector.training.history import read_curves
from detector.training.options import Settings
from detector.training.plan import default_pictures
from detector.training.process import give_back
from detector.training.progress import duration
from detector.training.report import write_report
from detector.training.run import Data, say
from detector.training.start import load_network

CLASSES_NAMED = 20
# Pictures of playing cards rose from 55.5 to 59.7 in the last third of a run, and one twice as long
# came to 65.5. Fruit under other names was best before the end, and 1.7 times as long brought
# nothing (62.7, 63.0).
FEWEST, RISING_FROM, RISE = 6, 0.7, 2.0


def finish(settings: Settings, folder: Path, data: Data, pace: Pace) -> str:
    """Write what a run leaves, from its best.ckpt; returns the command that tries it."""
    steps, seconds = pace.best_step, pace.clock.elapsed()
    give_back()  # what is next runs in other libraries
    model, card = load_network(folder / BEST)
    flips = flips_for(card.class_names, settings.flips)
    options = Int8Options(batch=min(settings.batch, BATCH), flips=flips)
    files = artefacts.write_models(folder, model, card, data.train, data.val, say, options)
    about: dict[str, object] = {
        "data": data.name,
        "classes": list(card.class_names),
        "train_pictures": len(data.train.examples),
        "best_step": steps,
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }
    artefacts.write_metrics(folder, files, about)
    script = Path(sys.argv[0]).with_name("demo.py")  # beside train.py, where that was started
    demo = ["python", str(script)] if script.is_file() else ["detector", "demo"]
    tried = shlex.join([*demo, "--model", str(folder / artefacts.FLOAT)])
    command = shlex.join(read_command(folder))
    facts = _facts(settings, data, card, steps, seconds)
    facts.update({file.path.name: file.int8.sentence() for file in files if file.int8})
    curves = read_curves(folder)
    if advice := longer(settings, [ap for _, ap, *_ in curves.measured], len(data.train.examples)):
        facts["to find more"] = advice
        say(advice)
    report = write_report(folder, data.name, (command, tried), facts, files, curves)
    for file in files:
        figures = file.measured.analysis.figures
        print(
            f"{file.path}  {file.size / 1e6:.1f} MB  {file.measured.latency_ms:.1f} ms a picture  "
            f"AP {figures['AP']:.1f}  AP50 {figures['AP50']:.1f}"
        )
    print(f"{report}")
    return tried


def longer(settings: Settings, measured: Sequence[float], pictures: int) -> str:
    """Advice to train for longer where AP was still rising at the end, or "".

    measured: AP at even distances, the last at the end. pictures: there are to learn from.
    """
    if len(measured) < FEWEST or measured[-1] < max(measured):
        return ""
    before = max(measured[: round(RISING_FROM * len(measured))])
    if measured[-1] < before + RISE:
        return ""
    if settings.minutes is not None:
        more = f"--minutes {2 * settings.minutes:g}"
    else:
        epochs = settings.epochs or default_pictures(pictures) / pictures
        more = f"--epochs {2 * epochs:.0f}"
    return (
        f"AP was still rising, from {before:.1f} to {measured[-1]:.1f} in the last third of the "
        f"run: one twice as long may find more ({more})"
    )


def _facts(
    settings: Settings, data: Data, card: ModelCard, steps: int, seconds: float
) -> dict[str, str]:
    """The run in words, for its report."""
    names = ", ".join(card.class_names[:CLASSES_NAMED])
    more = len(card.class_names) - CLASSES_NAMED
    boxes = data.train.class_counts().sum()
    return {
        "data": f"{data.name}: {len(data.train.examples):,} training pictures with {boxes:,} "
        f"boxes, {len(data.val.examples):,} to judge by",
        "classes": f"{names} and {more} more" if more > 0 else names,
        "network": f"{card.backbone}, width {card.alpha:g}, {settings.size} px",
        "started from": settings.weights,
        "best at step": f"{steps:,}",
        "time": duration(seconds),
        "made with": f"torch {torch.__version__}, {torch.get_num_threads()} threads",
    }
