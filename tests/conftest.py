"""What every test rests on."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from demo_process import Start, demo_starter
from disks import tmpfs
from web_client import chromium
from x_server import x_server

from detector.detections import Detections
from detector.evaluation.analyse import analyse
from detector.evaluation.analysis import Analysis, Picture
from detector.sample import sample_path
from detector.training import process

if TYPE_CHECKING:
    from detector.web import WebView


def pytest_configure(config: pytest.Config) -> None:
    """Before torch is loaded: one thread, since tiny tensors make threads wait for each other.

    On a busy machine the tests take twice as long with two, and longer still where they wait
    spinning. A shell's background job ignores Ctrl-C, and so would every process the tests start.

    Compiled models are kept for as long as the tests run, in a new folder: each is compiled once,
    and a user's own cache is neither used nor filled. xdist's workers inherit the folder.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    process.prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        cache = tempfile.mkdtemp(prefix="detector-tests-")
        os.environ["DETECTOR_CACHE"] = cache
        config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


def pytest_collection_finish() -> None:
    """What the imports made stays: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """The first frame of the sample clip, BGR, which shows the astronaut."""
    video = cv2.VideoCapture(str(sample_path()))
    ok, frame = video.read()
    video.release()
    assert ok
    return frame


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `demo.py WORDS` in tmp_path, its stderr going to a file `said`; killed at the end."""
    yield from demo_starter(tmp_path)


@pytest.fixture
def x_display() -> Iterator[str]:
    """A real X server on a display of its own."""
    yield from x_server()


@pytest.fixture
def view() -> Iterator["WebView"]:
    """A browser view on a free port."""
    from detector.web import WebView

    made = WebView(port=0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real headless Chromium."""
    made = chromium(tmp_path_factory.mktemp("chromium"), 1280, 900)
    yield made
    made.quit()


@pytest.fixture
def opencv_threads() -> Iterator[None]:
    """OpenCV's threads are the whole process's: a test that sets them uses this."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    yield from tmpfs(tmp_path / "tiny", 1)


@pytest.fixture(scope="session")
def make_analysis() -> Callable[..., Analysis]:
    """make_analysis(folder, names, pictures=4): of pictures with a box of each of some classes.

    Most are found; some are missed, too loose, or of the next class, and there are false alarms.
    """

    def make(folder: Path, names: Sequence[str], pictures: int = 4) -> Analysis:
        rng = np.random.default_rng(0)
        made = [_picture(folder / f"{i}.png", names, i, rng) for i in range(pictures)]
        return analyse(made, names)

    return make


def _picture(path: Path, names: Sequence[str], number: int, rng: np.random.Generator) -> Picture:
    """A noisy picture, 200 by 120, with up to 6 boxes; the first may be ignored."""
    cv2.imwrite(str(path), rng.integers(0, 256, (120, 200, 3), dtype=np.uint8))
    corners = np.array([(x, y) for y in (5, 65) for x in (5, 70, 135)], np.float32)
    truth = np.hstack([corners, corners + 50])
    labels = (np.arange(6) + 6 * number) % len(names)
    moved = truth + np.array([[0], [1], [20], [3], [0], [2]], np.float32)
    guessed = (labels + (np.arange(6) == 4)) % len(names)
    scores = rng.uniform(0.3, 0.99, 7).astype(np.float32)
    alarm = np.array([[60, 50, 90, 80]], np.float32)
    found = Detections(
        np.vstack([moved[1:], alarm, alarm + 5]),
        scores,
        np.append(guessed[1:], [0, 0]),
        tuple(names),
    )
    ignore = np.arange(6) == 3
    order = np.argsort(-scores)
    return Picture(path, (200, 120), truth, labels, ignore, found[order])
