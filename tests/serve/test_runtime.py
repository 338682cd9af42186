"""ONNX Runtime Web: named by a lock file, fetched where asked for, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.errors import DetectorError
from detector.serve import runtime


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path))
    monkeypatch.setattr(runtime, "_is_current", lambda _: False)
    return tmp_path


def npm_that(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An npm that runs these shell lines."""
    program = folder / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_lock_file_pins_every_package_by_digest_and_names_no_server() -> None:
    text = (runtime.WEB / "package-lock.json").read_text()
    packages = {name: p for name, p in json.loads(text)["packages"].items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert "resolved" not in text
    wanted = json.loads((runtime.WEB / "package.json").read_text())["dependencies"]
    assert wanted == {runtime.PACKAGE: runtime.version()}


def test_nothing_is_found_before_the_build(cache: Path) -> None:
    assert runtime.find() is None
    half = cache / f"{runtime.PACKAGE}-{runtime.version()}"
    half.mkdir()
    (half / runtime.FILES[0]).touch()
    assert runtime.find() is None


def test_build_keeps_the_needed_files_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = f"node_modules/{runtime.PACKAGE}/dist"
    files = " ".join(f"{dist}/{name}" for name in (*runtime.FILES, "other.js"))
    npm_that(cache, monkeypatch, f"test -f package-lock.json && mkdir -p {dist} && touch {files}")
    folder = runtime.build()
    assert runtime.find() == folder
    assert {path.name for path in folder.iterdir()} == set(runtime.FILES)
    assert runtime.build() == folder  # again, over the old one
    assert {path.name for path in cache.iterdir()} == {"bin", folder.name}


def test_build_says_what_failed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm_that(cache, monkeypatch, "echo 'npm error code EAI_AGAIN' >&2; exit 1")
    with pytest.raises(DetectorError, match=r"npm ci failed \(npm error code EAI_AGAIN"):
        runtime.build()
    assert {path.name for path in cache.iterdir()} == {"bin"}
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(DetectorError, match="npm is not installed"):
        runtime.build()
