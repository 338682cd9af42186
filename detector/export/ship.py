"""Files of several formats from one network: written, run, compared with torch, then put in place.

Everything is made in a folder of its own, which is removed; what agrees is copied beside its place
and renamed.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.data.example import Dataset
from detector.errors import DetectorError
from detector.evaluation.torch_detector import TorchDetector
from detector.export.agree import (
    MOST_AP,
    MOST_PX,
    MOST_SCORE,
    Agreement,
    ExportedDetector,
    agreement,
    average_precision,
)
from detector.export.formats import Format, Runner, format_of
from detector.export.interface import Order
from detector.outfile import cannot_write, start_file


@dataclass(frozen=True)
class Made:
    """A file that was made. size: of it and what lies beside it, in bytes. run: it, loaded."""

    path: Path
    size: int
    agreement: Agreement
    run: Runner


def check_places(outs: Sequence[Path], order: Order) -> None:
    """Raise DetectorError before the work for places, formats and packages that cannot be."""
    beside: dict[Path, Path] = {}
    for out in outs:
        format_ = format_of(out)
        if order.outputs not in format_.outputs:
            raise DetectorError(
                f"--out {out}: {format_.suffix} files cannot have --outputs {order.outputs}; "
                f"expected {' or '.join(format_.outputs)}"
            )
        for package in format_.packages:
            if importlib.util.find_spec(package) is None:
                raise DetectorError(
                    f"--out {out}: {format_.suffix} needs the package {package}; "
                    "pip install 'mobilenet-ssd[train,export]'"
                )
        start_file(out, "--out").unlink()
        for suffix in {format_.suffix, *format_.beside, *([".json"] * (order.outputs == "raw"))}:
            other = beside.setdefault(out.with_suffix(suffix), out)
            if other != out or list(outs).count(out) > 1:
                raise DetectorError(
                    f"--out {other} {out}: both would write {out.with_suffix(suffix)}; "
                    "give them names that differ before the suffix"
                )


def ship(
    order: Order,
    outs: Sequence[Path],
    frames: Sequence[npt.NDArray[np.uint8]],
    data: Dataset | None,
    threads: int,
) -> list[Made]:
    """Write the files that agree with torch; what was measured of each, agreeing or not.

    frames: pictures (H, W, 3) BGR to compare on. data: labelled ones to measure AP on, or None.
    Raises DetectorError for what cannot be written or converted; then nothing is.
    """
    network = TorchDetector(order.model, order.card, order.size, order.limits())
    torch_ap = None if data is None else average_precision(network, data)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        made = []
        for number, out in enumerate(outs):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            made.append(
                _make(order, format_of(out), folder / out.name, frames, data, torch_ap, threads)
            )
        for number, (out, one) in enumerate(zip(outs, made, strict=True)):
            if one.agreement.holds:
                _put(Path(scratch) / str(number), out)
    return made


def _make(
    order: Order,
    format_: Format,
    path: Path,
    frames: Sequence[npt.NDArray[np.uint8]],
    data: Dataset | None,
    torch_ap: float | None,
    threads: int,
) -> Made:
    format_.write(path, order)
    if order.outputs == "raw":
        _write_anchors(path.with_suffix(".json"), order)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    run = format_.load(path, order, threads)
    ap = None if data is None else average_precision(ExportedDetector(order, run), data)
    return Made(path, size, Agreement(*agreement(order, run, frames), ap, torch_ap), run)


def _write_anchors(path: Path, order: Order) -> None:
    """What a host needs to decode raw outputs, beside what ncnn's file says of itself."""
    about: Mapping[str, object] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**order.described(), **about, **order.anchors()}), "utf-8")


def _put(folder: Path, out: Path) -> None:
    """Move a format's files to their place: beside it first, since that may be another disk."""
    files = sorted(folder.iterdir(), key=lambda file: file.name == out.name)  # the one named last
    parts: list[tuple[Path, Path]] = []
    try:
        for file in files:
            place = out.with_name(file.name)
            parts.append((start_file(place, "--out"), place))
            shutil.copyfile(file, parts[-1][0])
        for part, place in parts:
            part.replace(place)
    except OSError as error:
        raise cannot_write(out, "--out", error) from error
    finally:
        for part, _ in parts:
            part.unlink(missing_ok=True)


def loaded(order: Order, name: str, threads: int) -> Runner:
    """A file of an order that is kept nowhere, loaded."""
    format_ = format_of(Path(name))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        path = Path(scratch) / name
        format_.write(path, order)
        return format_.load(path, order, threads)


def table(made: Sequence[Made], ms: Mapping[str, float]) -> list[str]:
    """Lines that say how each file compares with torch. ms: latency by file name and "torch"."""
    torch_ap = made[0].agreement.torch_ap
    with_ap = torch_ap is not None
    width = max(len("torch"), *(len(one.path.name) for one in made))
    head = f"{'':{width}}  {'MB':>5}  {'boxes, px':>9}  {'scores':>7}"
    lines = [head + ("     AP" if with_ap else "") + "     ms"]
    ap = f"  {torch_ap:5.1f}" if with_ap else ""
    lines.append(f"{'torch':{width}}  {'':5}  {'':9}  {'':7}{ap}  {ms['torch']:5.1f}")
    for one in made:
        found = one.agreement
        ap = f"  {found.ap:5.1f}" if with_ap else ""
        verdict = "" if found.holds else "  does not agree: not written"
        lines.append(
            f"{one.path.name:{width}}  {one.size / 1e6:5.1f}  {found.boxes_px:9.4f}  "
            f"{found.scores:7.1e}{ap}  {ms[one.path.name]:5.1f}{verdict}"
        )
    return lines


def refusal(order: Order, made: Sequence[Made]) -> str:
    """One line on the files that do not agree, or ''."""
    bad = [one for one in made if not one.agreement.holds]
    if not bad:
        return ""
    names, worst = ", ".join(one.path.name for one in bad), bad[0].agreement
    ap = "" if worst.ap is None else f", AP {worst.ap:.2f} instead of {worst.torch_ap:.2f}"
    hint = "; --precision float32 rounds no weights" if order.precision == "float16" else ""
    return (
        f"--out {names}: not written, since it does not find what "
        f"torch does: boxes differ by {worst.boxes_px:.3g} px, scores by {worst.scores:.3g}{ap} "
        f"(at most {MOST_PX} px, {MOST_SCORE}, {MOST_AP} AP){hint}"
    )
