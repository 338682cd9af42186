"""The comparison with torchvision's training step runs and prints whole tables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_compares_all_on_the_same_pictures(shapes):
    script = ROOT / "scripts" / "compare_training_speed.py"
    options = ["--data", shapes, "--batch", "2", "--steps", "1", "--rounds", "2", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, script, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    table = {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}
    assert {"ours, float32", "torchvision, float32", "our loader alone"} < set(table)
    assert table["torchvision, float32"][2] == "1.00"
    assert float(table["our loader alone"][0]) > float(table["ours, float32"][0])
