"""The programs of `scripts/`, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def output_of(name: str, *options: object, code: int = 0) -> str:
    """What `scripts/NAME OPTIONS` prints; it must end with this code."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def rows_of(name: str, *options: object) -> list[list[str]]:
    """Cells of the table rows that it prints; it must end well."""
    lines = output_of(name, *options).splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in rows]
