"""Makers of tiny data sets: real pictures on disk, label files as other tools write them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from file_server import NAPS, Server

MakePicture = Callable[..., Path]
MakeText = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> MakePicture:
    """picture("a/1.jpg", width=64, height=48, seed=3): blurred noise, another for each seed."""

    def make(name: str, width: int = 64, height: int = 48, seed: int | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(zlib.crc32(name.encode()) if seed is None else seed)
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return path

    return make


@pytest.fixture
def text(tmp_path: Path) -> MakeText:
    """text("a/1.xml", "...") writes a file of str (UTF-8) or bytes."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def voc_object(name: str, x1: float, y1: float, x2: float, y2: float, difficult: str = "") -> str:
    corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name>{difficult}<bndbox>{corners}</bndbox></object>"


@pytest.fixture
def voc_xml() -> Callable[..., str]:
    """voc_xml(("cat", 1, 2, 30, 40), filename="1.jpg", size=(64, 48), extra="") -> XML text."""

    def make(
        *objects: tuple[object, ...],
        filename: str = "",
        size: tuple[int, int] | None = None,
        extra: str = "",
    ) -> str:
        parts = [f"<filename>{filename}</filename>"] if filename else []
        if size is not None:
            parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height></size>")
        parts += [voc_object(*entry) for entry in objects]
        return f"<annotation>{''.join(parts)}{extra}</annotation>"

    return make


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of files that misbehaves when told to."""
    NAPS.clear()
    running = Server()
    yield running
    running.close()


@pytest.fixture
def shared_data() -> Path:
    """The real pictures of ../shared/data; the test is skipped where they are absent."""
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is absent")
    return folder
