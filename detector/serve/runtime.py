"""ONNX Runtime Web, the page's engine: fetched once by npm where the user asks for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from detector.errors import DetectorError
from detector.model_cache import cache_folder

WEB = Path(__file__).parent / "web"
PACKAGE = "onnxruntime-web"
# Three builds: WebAssembly alone (14 MB), and with WebGPU for browsers that can suspend WebAssembly
# (17 MB) and for those that cannot (27 MB). A browser loads one of them.
FILES = tuple(
    name
    for build, glue in (("wasm", ""), ("jspi", ".jspi"), ("webgpu", ".asyncify"))
    for name in (
        f"ort.{build}.min.mjs",
        f"ort-wasm-simd-threaded{glue}.mjs",
        f"ort-wasm-simd-threaded{glue}.wasm",
    )
)


def version() -> str:
    """The version the lock file names."""
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"][f"node_modules/{PACKAGE}"]["version"])


def find() -> Path | None:
    """The folder that has all FILES of this version; None before `--build`.

    Where `npm ci` was run in the package's own web folder, that one.
    """
    own = WEB / "node_modules" / PACKAGE
    for folder in (own / "dist" if _is_current(own) else None, _built()):
        if folder is not None and all((folder / name).is_file() for name in FILES):
            return folder
    return None


def build() -> Path:
    """Fetch the package with npm, checked against the lock file, and keep FILES; their folder.

    Raises DetectorError when npm is missing or fails, and when the files cannot be kept.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DetectorError(
            "--build: npm is not installed; install Node.js (https://nodejs.org), or go without: "
            "the HTTP API needs none of it"
        )
    target = _built()
    if target is None:
        raise DetectorError("--build: there is no home folder to keep it in; set DETECTOR_CACHE")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{PACKAGE}-") as folder:
            _npm_ci(npm, Path(folder))
            _keep(Path(folder), target)
    except OSError as error:
        raise DetectorError(f"--build: cannot keep {PACKAGE} in {target} ({error})") from error
    return target


def _npm_ci(npm: str, folder: Path) -> None:
    """Scripts are not run: what the lock file names is JavaScript and WebAssembly, ready to use."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WEB / name, folder)
    words = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        reason = " ".join(lines[:3]) or f"exit code {done.returncode}"
        raise DetectorError(f"--build: npm ci failed ({reason[:300]}); is there a network?")


def _keep(folder: Path, target: Path) -> None:
    """Move FILES to `target`, whole or not at all."""
    ready = folder / "ready"
    ready.mkdir()
    for name in FILES:
        shutil.move(folder / "node_modules" / PACKAGE / "dist" / name, ready / name)
    if target.exists():  # of a build that was stopped halfway, or damaged since
        shutil.rmtree(target)
    ready.replace(target)


def _built() -> Path | None:
    cache = cache_folder()
    return cache / f"{PACKAGE}-{version()}" if cache else None


def _is_current(package: Path) -> bool:
    try:
        found = json.loads((package / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found.get("version") == version())
