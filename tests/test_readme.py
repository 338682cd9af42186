"""The README is short, its code runs, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from detector.camera import open_source
from detector.cli import VERBS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_its_python_runs_as_it_stands(tmp_path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    source = open_source("sample")
    frame = source.read(10.0)
    source.close()
    assert frame is not None
    cv2.imwrite(str(tmp_path / "photo.jpg"), frame.image_bgr)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{block}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("person ")


def test_its_verbs_and_make_targets_exist() -> None:
    for verb in re.findall(r"(?<!from )\bdetector ([a-z]+(?:-[a-z]+)?)\s+[-A-Zpf]", README):
        assert verb in VERBS, verb
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= targets


def test_its_files_exist() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "option", sorted(set(re.findall(r"(--[a-z][a-z-]+)", README)) - {"--help"})
)
def test_its_options_exist(option: str) -> None:
    name = option[2:].replace("-", "_")
    files = [*(ROOT / "detector" / "commands").glob("*.py"), ROOT / "detector/training/options.py"]
    sources = [path.read_text(encoding="utf-8") for path in files]
    assert any(re.search(rf"^    {name}: ", text, re.MULTILINE) for text in sources), option
