"""The embedded files are whole, are what their notes say, and are small enough to embed."""

import hashlib
from pathlib import Path

import pytest

from detector import metadata
from detector.classes import COCO_CLASSES
from detector.predictor import COCO_FLOAT, COCO_INT8, WEIGHTS

SUMS = dict(reversed(line.split()) for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())


def test_every_embedded_file_has_a_checksum() -> None:
    binaries = {path.name for path in WEIGHTS.iterdir() if path.suffix in (".onnx", ".safetensors")}
    assert binaries == set(SUMS)
    assert len(binaries) == 3


@pytest.mark.parametrize("name", SUMS)
def test_checksums_match_the_files_and_their_notes(name: str) -> None:
    digest = hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()
    assert digest == SUMS[name]
    assert f"| `{name}` |" in (WEIGHTS / "README.md").read_text()
    assert digest in (WEIGHTS / "README.md").read_text()


def test_files_are_small() -> None:
    assert sum((WEIGHTS / name).stat().st_size for name in SUMS) < 24e6


@pytest.mark.parametrize(("path", "precision"), [(COCO_FLOAT, "float16"), (COCO_INT8, "int8")])
def test_model_files_describe_themselves(path: Path, precision: str) -> None:
    described = metadata.read(path)
    assert described.class_names == COCO_CLASSES
    assert described.input_size == 300
    assert described.precision == precision
    assert described.notes["licence"] == "Apache-2.0"
    assert described.notes["trained_on"] == "COCO 2017 train"


def test_no_machine_path_in_the_files() -> None:
    for name in SUMS:
        content = (WEIGHTS / name).read_bytes()
        for trace in (b"/work/", b"/tmp/", b"/home/", b"site-packages"):
            assert trace not in content, f"{name} carries {trace!r}"
