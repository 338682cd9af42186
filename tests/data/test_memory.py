"""Memory that runs out inside a decoder is called that, and no picture is taken to be damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import DetectorError, OutOfMemoryError
from detector.images import decode_image

resource = pytest.importorskip("resource", reason="no limits of memory here")

SIDE = 6000
# Leaves room for what is read, not for what is decoded: 108 MB of pixels.
SCRIPT = """
import resource, sys
import detector.data.loading
from pathlib import Path
from detector.data.example import Dataset, Example
from detector.data.near_duplicates import hash_pictures
from detector.data.shrunk import read_shrunk
from detector.images import read_image
from detector.errors import OutOfMemoryError
from detector.training.judge import Judge
import numpy as np
path, kind = Path(sys.argv[1]), sys.argv[2]
boxes, labels = np.array([[1, 2, 300, 400]], np.float32), np.zeros(1, np.int64)
example = Example(path, boxes, labels, np.zeros(1, np.bool_), None, "")
ways = {
    "whole": lambda: read_image(path),
    "reduced": lambda: read_shrunk(path, 3000),
    "train": lambda: detector.data.loading.Pictures([example], 3000),
    "val": lambda: Judge([example], ("cat",), 300),
    "split": lambda: hash_pictures([path]),
}
status = open("/proc/self/status").read()
used = int(status.split("VmSize:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20),) * 2)
for name in kind.split():
    try:
        ways[name]()
        print(name, "no error")
    except OutOfMemoryError as error:
        print(name, error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("suffix", "ways"),
    [("jpg", "whole reduced train val"), ("png", "whole split")],
)
def test_each_reader_says_that_memory_ran_out(tmp_path: Path, suffix: str, ways: str) -> None:
    path = tmp_path / f"large.{suffix}"
    path.write_bytes(cv2.imencode(f".{suffix}", np.zeros((SIDE, SIDE, 3), np.uint8))[1].tobytes())
    words = [sys.executable, "-c", SCRIPT, str(path), ways]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    expected = f"{path}: out of memory while decoding {SIDE}x{SIDE} pixels; close other"
    assert [line.partition(";")[0] for line in done.stdout.splitlines()] == [
        f"{name} {expected.partition(';')[0]}" for name in ways.split()
    ]


def test_damage_is_damage(tmp_path: Path) -> None:
    """A whole file whose middle is garbage, with memory to spare."""
    data = bytearray(cv2.imencode(".png", np.zeros((40, 40, 3), np.uint8))[1].tobytes())
    with pytest.raises(DetectorError) as caught:
        decode_image(bytes(data[:60]) + b"x" * 9 + bytes(data[69:]), "a.png")
    assert not isinstance(caught.value, OutOfMemoryError)
