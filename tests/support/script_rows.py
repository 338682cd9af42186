"""The programs of `scripts/`, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows_of(name: str, *options: object) -> list[list[str]]:
    """Cells of the table rows that `scripts/NAME OPTIONS` prints; it must end well."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in rows]
