"""What an evaluation has seen so far, on disk, so that a killed one goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.detections import Detections
from detector.evaluation.run import Seen
from detector.outfile import cannot_write

NAME = "detections.part.jsonl"


def key_of(model: Path, circumstances: object) -> str:
    """Changes with the model file's content and with all else that detections depend on."""
    digest = hashlib.sha256(model.read_bytes())
    digest.update(json.dumps(circumstances).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """What is in the file: `size` bytes of it are whole. key: of the evaluation it belongs to."""

    path: Path
    key: str
    seen: list[Seen]
    size: int


def read_part(path: Path, key: str, names: tuple[str, ...]) -> Part:
    """What an evaluation of this key had seen, example by example; nothing if there is none such.

    names: the model's classes. A last line that was cut off is left out.
    """
    seen: list[Seen] = []
    size = 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
        first = file.readline()
        if first.endswith(b"\n") and json.loads(first) == {"key": key}:
            size = len(first)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                seen.append(_from_json(json.loads(line), names))
                size += len(line)
    return Part(path, key, seen, size)


def keep(part: Part, fresh: Iterator[Seen]) -> Iterator[Seen]:
    """Everything seen, before and fresh; the fresh is added to the file picture by picture.

    Raises DetectorError when it cannot be written.
    """
    yield from part.seen
    try:
        with part.path.open("ab") as file:
            file.truncate(part.size)
            if not part.size:
                file.write(_line({"key": part.key}))
            for one in fresh:
                file.write(_line(_to_json(one)))
                file.flush()
                yield one
    except OSError as error:
        raise cannot_write(part.path, "--out", error) from error


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _to_json(seen: Seen) -> dict[str, object]:
    found = seen.found
    return {
        "size_wh": seen.size_wh,
        "xyxy": found.xyxy.tolist(),
        "scores": found.scores.tolist(),
        "labels": found.labels.tolist(),
        "failed": seen.failed,
    }


def _from_json(row: Any, names: tuple[str, ...]) -> Seen:
    found = Detections(
        np.array(row["xyxy"], np.float32).reshape(-1, 4),
        np.array(row["scores"], np.float32),
        np.array(row["labels"], np.int64),
        names,
    )
    width, height = row["size_wh"]
    return Seen((int(width), int(height)), found, failed=str(row["failed"]))
