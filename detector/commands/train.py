"""`detector train`: a detector from your own labelled pictures."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from detector.commands.options import shown
from detector.errors import DetectorError
from detector.training import process
from detector.training.options import Machine, Settings

MachineGroup = Annotated[Machine, tyro.conf.arg(name="machine"), tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Train(Settings):
    """Train a detector on your own pictures (needs the train extra); --data is all it must be told.

    It leaves a folder runs/NAME: model.onnx and model-int8.onnx for the demo, best.ckpt, last.ckpt,
    weights.safetensors, log.csv, tensorboard, metrics.json, args.yaml and report.html.
    """

    name: Annotated[str | None, shown("NAME", "the data card's")] = None
    """What to call the run."""
    out: Path = Path("runs")
    """The folder that the run's folder is made in."""
    overwrite: bool = False
    """Replace the run of this name, if there is one."""
    resume: Annotated[Path | None, shown("RUN")] = None
    """Go on with the run in this folder (runs/mango), exactly as if it had never stopped."""
    machine: MachineGroup = field(default_factory=Machine)

    def run(self) -> int:
        """Trains; the last line printed is the command to try the result."""
        process.prepare()  # before torch is loaded
        from detector.training import launch, plan

        settings, machine = self._settings(), launch.settle(self.machine)
        plan.check(settings, machine)
        if machine.devices > 1 and not launch.launched():
            return launch.start(self.run, machine.devices)
        return self._train(settings, machine)

    def _train(self, settings: Settings, machine: Machine) -> int:
        """The same in this process, which may be one of several that train together."""
        from detector.training import distributed, launch, plan, run
        from detector.training.finish import finish
        from detector.training.folder import claim, clear_parts, run_folder, write_settings
        from detector.training.mishaps import resumable

        with distributed.together(machine):
            data = run.load(settings)
            folder = self.resume or run_folder(self.out, self.name, data.name)
            settings = run.settled(settings, data)
            plan.check(settings, machine)  # once more, with all there is
            if self.resume is None and launch.is_first():
                if self.overwrite:
                    run.try_start(settings, data, folder)
                claim(folder, overwrite=self.overwrite)
                write_settings(folder, settings, shlex.join(["detector", "train", *_words()]))
            elif launch.is_first():
                clear_parts(folder)
            distributed.wait()  # or others might look into a folder that is not claimed yet
            with resumable(folder, run.say):
                pace = run.train(settings, machine, folder, data)
        if launch.is_first():
            with resumable(folder, run.say):
                print(finish(settings, folder, data, pace))
        return 0

    def _settings(self) -> Settings:
        """This without what concerns the folder and the machine; a resumed run's are its own."""
        if self.resume is not None:
            from detector.training.folder import read_settings

            settings = read_settings(self.resume)
            self._refuse_changes(settings)
            return dataclasses.replace(settings, data=self.data or settings.data)
        return Settings(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Settings)})

    def _refuse_changes(self, settings: Settings) -> None:
        """Raise DetectorError for options other than a resumed run's own `settings`."""
        free = {"data", "resume", "machine"}
        typed = {word[2:].partition("=")[0].replace("-", "_") for word in _words()}
        mine, theirs = _flat(self), _flat(settings)
        for name, plain in _flat(Train()).items():
            given = name in typed or f"no_{name}" in typed or mine[name] != plain
            if given and name not in free and mine[name] != theirs.get(name, plain):
                raise DetectorError(
                    f"--resume {self.resume}: goes on with the settings in its args.yaml; leave "
                    f"out --{name.replace('_', '-')}, or start a new run"
                )


def _flat(options: Any) -> dict[str, Any]:
    """Options by name, those of groups among them; what a run is done with stays one."""
    found: dict[str, Any] = {}
    for field_ in dataclasses.fields(options):
        value = getattr(options, field_.name)
        grouped = dataclasses.is_dataclass(value) and field_.name != "machine"
        found |= _flat(value) if grouped else {field_.name: value}
    return found


def _words() -> list[str]:
    """The options as typed."""
    words = sys.argv[1:]
    return words[1:] if words[:1] == ["train"] else words
