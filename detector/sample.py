"""The built-in clip: ten seconds of people, a cat and a cup, for a machine without a camera."""

from __future__ import annotations

from pathlib import Path


def sample_path() -> Path:
    """The sample clip (640x480, 25 fps; sources and licences in assets/NOTICE beside it)."""
    return Path(__file__).parent / "assets" / "sample.mp4"
