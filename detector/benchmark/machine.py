"""The machine that figures come from: processor, features, versions, and whether it is free."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata

import cv2

from detector.cpu import CPUINFO, INT8_FEATURES, cpu_features, usable_cores

BUSY = 0.3  # load a core, before the start, above which others share in the figures
# Features of the CPU that decide how fast it multiplies, as Linux names them.
FAST_FEATURES = frozenset(
    {"avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "sve2"}
)
PACKAGES = {
    "OpenVINO": "openvino",
    "ONNX Runtime": "onnxruntime",
    "torch": "torch",
    "NumPy": "numpy",
}


@dataclass(frozen=True)
class Machine:
    """features: those that decide speed. load: average of the last minute, None where unknown."""

    processor: str
    cores: int
    features: tuple[str, ...]
    load: float | None
    system: str
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    """The machine at hand, as it is now; what is not installed has no version."""
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        features=tuple(sorted(cpu_features() & (FAST_FEATURES | INT8_FEATURES))),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        system=platform.system(),
        python=platform.python_version(),
        versions=_versions(),
    )


def machine_line(machine: Machine) -> str:
    """The machine in one line."""
    load = "" if machine.load is None else f", load {machine.load:.1f}"
    features = f" ({', '.join(machine.features)})" if machine.features else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.processor}{features}, {machine.cores} cores{load}; {machine.system}, "
        f"Python {machine.python}, {versions}"
    )


def busy_line(machine: Machine) -> str:
    """A warning where others use the machine too, else ''."""
    if machine.load is None or machine.load <= BUSY * machine.cores:
        return ""
    return (
        f"warning: this machine is busy (load {machine.load:.1f} on {machine.cores} cores before "
        "the start); trust the ratios only"
    )


def _versions() -> dict[str, str]:
    installed = {name: _version(package) for name, package in PACKAGES.items()}
    known = {name: version for name, version in installed.items() if version}
    return {"OpenCV": cv2.__version__, **known}  # OpenCV comes in four packages


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The model's name; Linux alone has it in a file, and on Arm not even there."""
    if CPUINFO.exists():
        for line in CPUINFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
