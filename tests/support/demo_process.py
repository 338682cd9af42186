"""`demo.py` in a process of its own, and what it has written so far."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


def demo_starter(folder: Path) -> Iterator[Start]:
    """Starts `demo.py WORDS` in a folder, its stderr going to a file `said`; killed at the end."""
    processes: list[subprocess.Popen[str]] = []

    def begin(words: str, **env: str) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        with (folder / "said").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "demo.py"), *words.split()],
                cwd=folder,
                env={**clean, "PYTHONPATH": str(ROOT), **env},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def rows_so_far(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of out.jsonl, under way or finished."""
    paths = [*folder.glob(".out.*.part.jsonl"), *folder.glob("out.jsonl")]
    text = paths[0].read_text() if paths else ""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]
