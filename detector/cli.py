"""`detector VERB`: every verb is a dataclass in `detector.commands` with a `run` method."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import tyro

from detector.commands.benchmark import Benchmark
from detector.commands.demo import Demo
from detector.commands.detect import Detect
from detector.commands.evaluate import Evaluate
from detector.commands.weights import Export, ImportTf, Quantize
from detector.errors import DetectorError


class Verb(Protocol):
    """What a command line turns into."""

    def run(self) -> int:
        """Do it; returns the exit code."""


Verbs = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Detect, tyro.conf.subcommand("detect")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Quantize, tyro.conf.subcommand("quantize")]
    | Annotated[ImportTf, tyro.conf.subcommand("import-tf")]
)


def main(args: Sequence[str] | None = None, verb: Any = Verbs, prog: str = "detector") -> None:
    """Parse the command line, run its verb, exit. Users' mistakes are one line, not a trace."""
    try:
        chosen: Verb = tyro.cli(verb, prog=prog, args=args)
        code = chosen.run()
    except DetectorError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # `| head`: what is left to print has no reader
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    leave(code)


def leave(code: int) -> None:
    """Exit. A capture thread stuck in a driver would abort Python's own shutdown: step around it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name == "capture" and thread.is_alive() for thread in threading.enumerate()):
        os._exit(code)
    raise SystemExit(code)
