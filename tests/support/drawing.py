"""scripts/draw_mobilenets.py as a module, and what it draws with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
NAMES = ("draw_mobilenets", "mobilenet_pictures")


@contextmanager
def drawing_script() -> Iterator[ModuleType]:
    """The script, imported as when it is run; forgotten afterwards. Skips without timm."""
    pytest.importorskip("timm", reason="MobileNetV4's plan is timm's")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import draw_mobilenets

        yield draw_mobilenets
    for name in [name for name in sys.modules if name.split(".")[0] in NAMES]:
        del sys.modules[name]
