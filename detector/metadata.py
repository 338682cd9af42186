"""What a model file says of itself, read without the onnx package.

An ONNX file is one protobuf message; only its top-level fields are walked here, `metadata_props`
among them, so reading costs microseconds and works in the base install.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import DetectorError

FORMAT = "detector/1"
# ModelProto's field numbers (onnx.proto): graph = 7, opset_import = 8, metadata_props = 14.
_GRAPH, _OPSET, _METADATA = 7, 8, 14
TOP_K = 100  # as many as COCO's AP looks at, of a class
MAX_TOP_K = 10_000
IOU, VOTE = 0.6, 0.05  # docs/training.md has what the vote is worth
_LIMITS = ("score", "iou", "top_k", "vote")
_HIGHEST_FIELD = 40  # anything far above is no ModelProto


@dataclass(frozen=True)
class Metadata:
    """What the runtime needs to know of a model file.

    class_names: K names in label order. input_size: the side in pixels it was trained at.
    score, iou, top_k, vote: to use when the user names none: thresholds, 0..1, how many detections
    a picture has at most, and how much others pull them (`detector.detections.Limits`).
    precision: "float16", "float32" or "int8" storage of most weights. notes: everything else the
    file says.
    """

    class_names: tuple[str, ...]
    input_size: int
    score: float
    iou: float
    precision: str
    notes: Mapping[str, str]
    top_k: int = TOP_K
    vote: float = VOTE


def describe(
    class_names: Sequence[str],
    input_size: int,
    *,
    score: float = 0.5,
    iou: float = IOU,
    precision: str = "float16",
    top_k: int = TOP_K,
    vote: float = VOTE,
) -> dict[str, str]:
    """The metadata a model file must carry, as strings."""
    return {
        "format": FORMAT,
        "class_names": json.dumps(list(class_names), ensure_ascii=False),
        "input_size": str(input_size),
        "score": str(score),
        "iou": str(iou),
        "precision": precision,
        **({} if top_k == TOP_K else {"top_k": str(top_k)}),
        **({} if vote == VOTE else {"vote": str(vote)}),
    }


def read(path: Path) -> Metadata:
    """The metadata of a model file.

    Raises DetectorError when the file is missing, empty, truncated, no ONNX, or not one of ours.
    """
    if path.is_dir():
        raise DetectorError(f"{path}: is a folder; expected a model file (.onnx)")
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise DetectorError(f"{path}: is not a regular file; expected a model file (.onnx)")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise DetectorError(f"{path}: is empty (0 bytes); copy or export it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                props = _metadata_props(data)
    except FileNotFoundError as error:
        raise DetectorError(
            f"{path}: no such model file; expected a path to an .onnx file, or coco"
        ) from error
    except OSError as error:
        raise DetectorError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from error
    except ValueError as error:  # UnicodeDecodeError is one too
        raise DetectorError(
            f"{path}: not a whole ONNX file ({error}); copy or export it again"
        ) from error
    if props.get("format", "").startswith(f"{FORMAT} with "):
        raise DetectorError(
            f"{path}: made for other programs ({props['format'].removeprefix(FORMAT).strip()}); "
            "`detector export` without --input and --outputs writes what this one runs"
        )
    if props.get("format") != FORMAT:
        raise DetectorError(
            f"{path}: an ONNX file without this project's metadata "
            f"(format {props.get('format')!r}, expected {FORMAT!r}); "
            "use one written by `detector export`"
        )
    return _parse(path, props)


def _parse(path: Path, props: dict[str, str]) -> Metadata:
    try:
        names = json.loads(props["class_names"])
        if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise ValueError("class_names is not a list of names")
        known = {"format", "class_names", "input_size", "precision", *_LIMITS}
        return Metadata(
            class_names=tuple(names),
            input_size=int(props["input_size"]),
            score=_fraction(props, "score"),
            iou=_fraction(props, "iou"),
            precision=props["precision"],
            notes={k: v for k, v in props.items() if k not in known},
            top_k=_count(props.get("top_k", str(TOP_K))),
            vote=_fraction({"vote": str(VOTE), **props}, "vote"),
        )
    except KeyError as error:
        raise DetectorError(
            f"{path}: its metadata lacks {error}; copy or export it again"
        ) from error
    except (ValueError, RecursionError) as error:  # RecursionError: JSON of endless brackets
        raise DetectorError(
            f"{path}: its metadata is damaged ({error}); copy or export it again"
        ) from error


def _fraction(props: dict[str, str], key: str) -> float:
    value = float(props[key])
    if not 0 <= value <= 1:
        raise ValueError(f"{key} is {value}, not in 0..1")
    return value


def _count(text: str) -> int:
    if not 1 <= int(text) <= MAX_TOP_K:
        raise ValueError(f"top_k is {text}, not in 1..{MAX_TOP_K}")
    return int(text)


def _metadata_props(data: mmap.mmap | bytes) -> dict[str, str]:
    props: dict[str, str] = {}
    seen: set[int] = set()
    for number, value in _fields(data, 0, len(data)):
        seen.add(number)
        if number == _METADATA and isinstance(value, tuple):
            entry = {
                field: data[span[0] : span[1]].decode()
                for field, span in _fields(data, *value)
                if isinstance(span, tuple)
            }
            props[entry.get(1, "")] = entry.get(2, "")
    if not {_GRAPH, _OPSET} <= seen:
        raise ValueError("no graph in it")
    return props


def _fields(
    data: mmap.mmap | bytes, start: int, end: int
) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Each field of a message: its number, and its integer or the (start, end) of its bytes."""
    while start < end:
        key, start = _varint(data, start, end)
        number, wire = key >> 3, key & 7
        if not 0 < number <= _HIGHEST_FIELD:
            raise ValueError(f"field {number} is unknown")
        if wire == 0:
            value, start = _varint(data, start, end)
            yield number, value
        elif wire == 2:
            length, start = _varint(data, start, end)
            if start + length > end:
                raise ValueError(f"cut off {start + length - end} bytes too early")
            yield number, (start, start + length)
            start += length
        else:
            raise ValueError(f"wire type {wire} does not occur in it")


def _varint(data: mmap.mmap | bytes, start: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while start < end and shift < 64:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    raise ValueError("cut off inside a number")
