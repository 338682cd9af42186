"""The folder of a run: claimed once, never overwritten by accident; its settings in args.yaml."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from detector.errors import DetectorError
from detector.outfile import cannot_write, write_whole
from detector.training.options import LossOptions, Recipe, Settings

ARGS = "args.yaml"


def run_folder(out: Path, name: str | None, data: str) -> Path:
    """Where a run goes: OUT/NAME, else OUT/DATA, the data's name made fit for one folder.

    Raises DetectorError for a `name` that is no place below `out`.
    """
    if name is None:
        plain = re.sub(r"""[\\/:*?"<>|\x00-\x1f]+""", "-", data).strip(" .-")
        return out / (plain or "run")
    parts = Path(name).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise DetectorError(f"--name '{name}': expected a folder's name; --out says where it goes")
    return out / name


def claim(folder: Path, *, overwrite: bool) -> None:
    """Make the folder of a new run, with those above it.

    Raises DetectorError when it holds something (`overwrite` then empties it, if it is a run's), or
    cannot be made or written.
    """
    try:
        if folder.is_file():
            raise DetectorError(f"{folder}: is a file; choose another --name or --out")
        if folder.is_dir() and any(folder.iterdir()):
            _clear(folder, overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.part"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise cannot_write(folder, "train:", error) from error


def _clear(folder: Path, overwrite: bool) -> None:
    """Empty the folder of a run, if that was asked for or the run never began."""
    is_run = (folder / ARGS).is_file()
    began = any(path.suffix in (".csv", ".ckpt", ".onnx") for path in folder.iterdir())
    if not overwrite and (began or not is_run):
        raise DetectorError(
            f"{folder}: exists already; choose another --name, continue with --resume {folder}, "
            "or replace it with --overwrite"
        )
    if not is_run:
        raise DetectorError(
            f"{folder}: is not empty and not the folder of a run (no {ARGS} in it), so --overwrite "
            "leaves it alone; choose another --name"
        )
    if other := next(folder.glob(f"*/{ARGS}"), None):
        raise DetectorError(
            f"{folder}: holds another run, {other.parent.name}, so --overwrite leaves it alone; "
            "choose another --name"
        )
    shutil.rmtree(folder)


def clear_parts(folder: Path) -> None:
    """Delete the half-written files of a run that was killed while it wrote them."""
    for path in folder.glob(".*.part*"):
        with contextlib.suppress(OSError):
            path.unlink()


def write_settings(folder: Path, settings: Settings, command: str) -> None:
    """args.yaml: every setting, defaults too, and the command that made the run."""
    text = yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False, allow_unicode=True)
    write_whole(folder / ARGS, f"# {command}\n{text}".encode(), "train:")


def read_command(folder: Path) -> list[str]:
    """The words of the command that began the run; where nobody knows, the shortest."""
    with contextlib.suppress(OSError, ValueError):
        first = (folder / ARGS).read_text(encoding="utf-8").partition("\n")[0]
        if first.startswith("# "):
            return shlex.split(first[2:])
    return ["detector", "train"]


def read_settings(folder: Path) -> Settings:
    """The settings of a run. Raises DetectorError when there are none, or some make no sense."""
    path = folder / ARGS
    if not path.is_file():
        raise DetectorError(
            f"--resume {folder}: no {ARGS} in it; expected the folder of a run, such as runs/mango"
        )
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise DetectorError(f"{path}: cannot be read ({first}); start the run again") from error
    made: Settings = _make(Settings, fields, path)
    return made


_NESTED: dict[str, type] = {"recipe": Recipe, "losses": LossOptions}


def _make(kind: type, fields: object, path: Path) -> Any:
    """A dataclass of plain fields; DetectorError for an unknown or a wrong one, naming it."""
    if not isinstance(fields, Mapping):
        raise DetectorError(f"{path}: expected settings, one a line; start the run again")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, 1) or list(hints)
            raise DetectorError(
                f"{path}: unknown setting {name!r}; did you mean {' or '.join(near)}?"
            )
        if name in _NESTED:
            values[name] = _make(_NESTED[name], value, path)
        elif _fits(value, hints[name]):
            values[name] = value
        else:
            kinds = get_args(hints[name]) or (hints[name],)
            expected = " or ".join(getattr(k, "__name__", str(k)) for k in kinds)
            raise DetectorError(f"{path}: {name} is {value!r}, expected {expected}; mend it")
    return kind(**values)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value read from YAML is of a field's type; a whole number is a float, too."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if alternatives := get_args(hint):
        return any(_fits(value, one) for one in alternatives)
    if isinstance(value, bool) and hint is not bool:
        return False
    return isinstance(value, (int, float) if hint is float else hint)
