"""What stops a run from outside: the line it ends with, and what is left of it."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from detector.errors import DetectorError
from detector.training.history import read_rows
from detector.training.mishaps import resumable, short_memory
from detector.training.options import Settings
from detector.training.start import load_checkpoint

ROOT = Path(__file__).parents[2]
NO_ROOM = OSError(28, "No space left on device")


def test_out_of_memory_says_which_batch_to_use():
    with (
        pytest.raises(DetectorError, match="with --batch 16 at 300 px; use --batch 8"),
        short_memory(Settings()),
    ):
        torch.empty(1 << 55, dtype=torch.uint8)
    with (
        pytest.raises(DetectorError, match="use a smaller --size"),
        short_memory(Settings(batch=1)),
    ):
        raise MemoryError
    with pytest.raises(RuntimeError, match="size"), short_memory(Settings()):
        torch.zeros(2) @ torch.zeros(3)


def test_a_worker_that_was_killed_says_which_workers_to_use():
    with pytest.raises(DetectorError, match="use --workers 0, or fewer"), short_memory(Settings()):
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_ctrl_c_says_how_to_go_on(tmp_path, error):
    said = []
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path, said.append):
        raise error
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path, said.append):
        raise error
    assert said == [
        "stopped before anything was learned; start the same command again",
        f"stopped; go on with --resume {tmp_path}",
    ]


@pytest.mark.parametrize("cause", [NO_ROOM, MemoryError(), RuntimeError("out of memory")])
def test_an_error_from_outside_says_how_to_go_on(tmp_path, cause):
    def stop():
        with resumable(tmp_path, print):
            raise DetectorError("no room") from cause

    with pytest.raises(DetectorError, match=r"^no room$"):
        stop()
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(DetectorError, match=f"no room; what was .* --resume {tmp_path}$"):
        stop()


def test_an_error_of_the_data_is_left_as_it_is(tmp_path):
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(DetectorError, match=r"^a box$"), resumable(tmp_path, print):
        raise DetectorError("a box")


SMALL = "--size 96 --weights none --width 0.25 --batch 4 --workers 0 --epochs 3000"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_run(shapes, tmp_path, number):
    words = ["--data", str(shapes), "--out", str(tmp_path), *SMALL.split(), "--save-seconds", "0"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    folder = tmp_path / "shapes"
    deadline = time.monotonic() + 120
    while len(read_rows(folder / "log.csv")) < 5 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"stopped; go on with --resume {folder}"
    assert "Traceback" not in said
    assert load_checkpoint(folder / "last.ckpt")["global_step"] >= 3


OUT_OF_MEMORY = """
import resource, sys
from detector import cli
import lightning, torch, detector.training.finish
status = open("/proc/self/status").read()
used = int(status.split("VmSize:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
cli.main(["train", *sys.argv[1:]])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limits of memory here")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_batch_too_large_for_the_memory(shapes, tmp_path):
    words = ["--data", str(shapes), "--out", str(tmp_path), "--batch", "512", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: out of memory with --batch 512 at 300 px; use --batch 256"
    )
    assert "Traceback" not in done.stderr
