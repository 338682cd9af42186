"""`detector VERB`: every verb is a dataclass in `detector.commands` with a `run` method."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import tyro

from detector.errors import DetectorError

SUMMARY = "Object detection for a plain CPU. `detector VERB --help` tells a verb's options."
# Where each verb lives: only the one asked for is imported, which halves the start of the rest.
VERBS = {
    "demo": ("detector.commands.demo", "Demo"),
    "detect": ("detector.commands.detect", "Detect"),
    "check": ("detector.commands.check", "Check"),
    "fetch": ("detector.commands.fetch", "Fetch"),
    "train": ("detector.commands.train", "Train"),
    "evaluate": ("detector.commands.evaluate", "Evaluate"),
    "analyze": ("detector.commands.analyze", "Analyze"),
    "benchmark": ("detector.commands.benchmark", "Benchmark"),
    "serve": ("detector.commands.serve", "Serve"),
    "export": ("detector.commands.export", "Export"),
    "quantize": ("detector.commands.quantize", "Quantize"),
    "import-tf": ("detector.commands.weights", "ImportTf"),
}
# What the base install lacks: a verb that needs one of these says how to get it.
TRAIN_PACKAGES = (
    *("albumentations", "lightning", "matplotlib", "nncf", "onnx", "onnxscript", "pycocotools"),
    *("safetensors", "torch", "torchvision", "yaml"),
)


class Verb(Protocol):
    """What a command line turns into."""

    def run(self) -> int:
        """Do it; returns the exit code."""


def main(args: Sequence[str] | None = None, verb: Any = None, prog: str = "detector") -> None:
    """Parse the command line, run its verb, exit. Users' mistakes are one line, not a trace.

    args: default the process's own. verb: its dataclass, where no word of the line names one.
    Exit codes: 0, 2 for bad input, 3 for a lost source, 130 for Ctrl-C.
    """
    _never_fail_to_print()
    words = list(sys.argv[1:] if args is None else args)
    try:
        code = parse(words, verb, prog).run()
        sys.stdout.flush()  # here, where a reader that is gone or a full disk can be told
    except DetectorError as error:
        code = _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in TRAIN_PACKAGES:
            raise
        code = _fail(f"this needs {package}; pip install 'mobilenet-ssd[train]'", 2)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # `| head`: what is left to print has no reader
        code = 0
        _drop_stdout()
    except OSError as error:
        code = _fail(str(error), 2)
        _drop_stdout()
    leave(code)


def parse(words: list[str], verb: Any, prog: str) -> Verb:
    """The verb that a command line means; on --help and words it cannot take, prints and exits."""
    if verb is None and words and words[0] in VERBS:
        verb, prog, words = load(words[0]), f"{prog} {words[0]}", words[1:]
    if verb is None and words and not words[0].startswith("-"):
        near = difflib.get_close_matches(words[0], VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(VERBS)}"
        raise DetectorError(f"{prog}: {words[0]!r} is no verb; {hint}")
    if verb is None:
        verbs = {name: load(name) for name in VERBS}
        chosen: Verb = tyro.extras.subcommand_cli_from_dict(
            verbs, prog=prog, description=SUMMARY, args=words or ["--help"]
        )
    else:
        chosen = tyro.cli(verb, prog=prog, args=words)
    return chosen


def load(name: str) -> Any:
    """The dataclass of a verb."""
    module, kind = VERBS[name]
    return getattr(importlib.import_module(module), kind)


def leave(code: int) -> None:
    """Exit; past Python's own shutdown where a capture thread stuck in a driver would abort it."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    if any(thread.name == "capture" and thread.is_alive() for thread in threading.enumerate()):
        os._exit(code)
    raise SystemExit(code)


def _never_fail_to_print() -> None:
    """Class and file names hold what some terminals cannot show: then as an escape, no crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"error: {message}", file=sys.stderr)
    return code


def _drop_stdout() -> None:
    """What Python still holds for it would fail again on exit, with a trace."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
