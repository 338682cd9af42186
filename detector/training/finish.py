"""What a run leaves once it has trained: its model files, figures and report."""

from __future__ import annotations

from pathlib import Path

import torch

from detector.training import artefacts
from detector.training.callbacks import BEST, Pace
from detector.training.history import read_curves
from detector.training.options import Settings
from detector.training.progress import duration
from detector.training.report import write_report
from detector.training.run import JUDGED, Data, say
from detector.training.start import from_run, load_checkpoint


def finish(settings: Settings, folder: Path, data: Data, pace: Pace, command: str) -> str:
    """Write what a run leaves, from its best.ckpt; returns the command that tries it."""
    model, card = from_run(load_checkpoint(folder / BEST), str(folder / BEST))
    files = artefacts.write_models(folder, model, card, data.train, data.val, say)
    steps, seconds = pace.best_step, pace.clock.spent or pace.clock.elapsed()
    about: dict[str, object] = {
        "data": data.name,
        "classes": list(card.class_names),
        "train_pictures": len(data.train.examples),
        "best_step": steps,
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }
    artefacts.write_metrics(folder, files, about)
    tried = f"python demo.py --model {folder / artefacts.FLOAT}"
    facts = {
        "data": f"{data.name}: {len(data.train.examples)} training pictures",
        "network": f"{card.backbone}, width {card.alpha:g}, {settings.size} px",
        "started from": settings.weights,
        "best at step": str(steps),
        "time": duration(seconds),
    }
    report = write_report(folder, data.name, (command, tried), facts, files, read_curves(folder))
    (folder / JUDGED).unlink(missing_ok=True)
    for file in files:
        figures = file.measured.figures
        print(
            f"{file.path}  {file.size / 1e6:.1f} MB  {file.measured.latency_ms:.1f} ms a picture  "
            f"AP {figures['AP']:.1f}  AP50 {figures['AP50']:.1f}"
        )
    print(f"{report}")
    return tried
