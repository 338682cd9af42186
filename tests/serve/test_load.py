"""Many clients at once: every answer is the asker's own, and memory stays as it is."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import pack
from typing import Any

import cv2
import numpy as np
import pytest

from detector.serve.limits import Limits

Serve = Callable[..., Any]
CLIENTS = 50


def pictures(jpeg: bytes, count: int) -> list[bytes]:
    """The same scene in `count` widths: an answer tells by its width whose it is."""
    scene = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    sizes = [(200 + 2 * number, 150) for number in range(count)]
    return [cv2.imencode(".jpg", cv2.resize(scene, size))[1].tobytes() for size in sizes]


@pytest.mark.slow
def test_fifty_clients_get_their_own_answers_in_flat_memory(serve: Serve, jpeg: bytes) -> None:
    served = serve()
    bodies = pictures(jpeg, CLIENTS)
    facts = [served.ask("POST", "/detect", body).json for body in bodies]
    expected = [(one["width"], one["detections"]) for one in facts]
    assert any(found for _, found in expected)

    def client(number: int) -> list[Any]:
        answers = [served.ask("POST", "/detect", bodies[number], seconds=120) for _ in range(10)]
        assert {answer.status for answer in answers} == {200}
        return [(answer.json["width"], answer.json["detections"]) for answer in answers]

    before = 0
    for turn in range(4):
        with ThreadPoolExecutor(CLIENTS) as pool:
            for number, answers in enumerate(pool.map(client, range(CLIENTS))):
                assert json.dumps(answers) == json.dumps([expected[number]] * 10)
        if turn == 1:  # what allocators and threads keep for themselves they have by now
            before = memory_kb()
    assert memory_kb() < before + 30_000


def memory_kb() -> int:
    """Resident memory of this process."""
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is read from /proc")
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])


def png(width: int, height: int, rows: bytes) -> bytes:
    """A grey PNG whose header says this size, whatever the rows hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    header = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


EMPTY_CHUNK = pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))


def huge_jpeg() -> bytes:
    """A JPEG whose header says 30,000 x 30,000."""
    small = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    frame = small.index(b"\xff\xc0") + 5
    return small[:frame] + pack(">HH", 30_000, 30_000) + small[frame + 4 :]


def cut_webp() -> bytes:
    return cv2.imencode(".webp", np.zeros((16, 16, 3), np.uint8))[1].tobytes()[:-9]


# Pictures made to hurt, and the answer to each. Made when they are sent: all take a second.
HOSTILE: dict[str, tuple[Callable[[], bytes], int]] = {
    "a header of 30,000 x 30,000": (lambda: png(30_000, 30_000, b""), 413),
    "the same as JPEG": (huge_jpeg, 413),
    "the largest PNG there is": (lambda: png(2**31 - 1, 2**31 - 1, b""), 413),
    "rows of 64 MB for 8 x 8 pixels": (lambda: png(8, 8, bytes(64_000_000)), 200),
    "no width": (lambda: png(0, 10, b""), 422),
    "7000 x 7000 pixels without any rows": (lambda: png(7000, 7000, b""), 422),
    "a cut WebP": (cut_webp, 422),
    "nothing but empty chunks": (lambda: png(8, 8, b"")[:33] + EMPTY_CHUNK * 1_600_000, 422),
    "nothing but markers": (lambda: b"\xff\xd8" + b"\xff\x01" * 9_000_000, 422),
    "nothing but empty segments": (lambda: b"\xff\xd8" + b"\xff\xe0\x00\x02" * 4_900_000, 422),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_answered_and_harm_nobody(
    serve: Serve, jpeg: bytes, name: str
) -> None:
    served = serve(Limits())
    make, status = HOSTILE[name]
    body = make()
    before = memory_kb()
    answer = served.ask("POST", "/detect", body)
    assert answer.status == status, answer.body
    assert memory_kb() < before + 300_000
    assert served.ask("POST", "/detect", jpeg).status == 200
    assert served.api.places.taken == 0
