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

from detector.errors import DetectorError, OutOfMemoryError
from detector.training.folder import write_settings
from detector.training.history import read_rows
from detector.training.mishaps import replaced, resumable, short_memory
from detector.training.options import Settings
from detector.training.start import load_checkpoint

ROOT = Path(__file__).parents[2]
NO_ROOM = OSError(28, "No space left on device")


def test_out_of_memory_says_how_to_begin_again(tmp_path):
    command = "detector train --data 'my set' --batch=16"
    write_settings(tmp_path, Settings(data="my set"), command)
    expected = f"at 300 px; use --batch 8: {command.partition(' --batch')[0]} --batch 8 --overwrite"
    with (
        pytest.raises(DetectorError, match=f"with --batch 16 {expected}$"),
        short_memory(Settings(size=300), tmp_path),
    ):
        torch.empty(1 << 55, dtype=torch.uint8)
    with (
        pytest.raises(DetectorError, match=r"use --size 225: detector train .* --size 225 --over"),
        short_memory(Settings(size=300, batch=1), tmp_path),
    ):
        raise MemoryError
    with pytest.raises(RuntimeError, match="size"), short_memory(Settings(size=300), tmp_path):
        torch.zeros(2) @ torch.zeros(3)
    picture = OutOfMemoryError("a.jpg: out of memory while decoding")
    with (
        pytest.raises(OutOfMemoryError, match=r"a\.jpg"),
        short_memory(Settings(size=300), tmp_path),
    ):
        raise picture


def test_a_run_that_learned_cannot_take_another_batch_but_a_new_one_can(tmp_path):
    """A resumed run would see other pictures, so what was learned goes into a new one."""
    write_settings(tmp_path, Settings(), "detector train --data mango --name m --batch 32")
    (tmp_path / "last.ckpt").touch()
    command = f"--data mango --batch 16 --weights {tmp_path}/last.ckpt --name {tmp_path.name}-2"
    expected = f"detector train {command} \\(or, with more memory, --resume {tmp_path}\\)$"
    with (
        pytest.raises(DetectorError, match=expected),
        resumable(tmp_path, print),
        short_memory(Settings(size=300, batch=32), tmp_path),
    ):
        raise MemoryError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train --batch 4 --data x", "train --data x --batch 2 --overwrite"),
        ("train --batch=4 --overwrite --data x", "train --data x --batch 2 --overwrite"),
        ("train --data x --batch", "train --data x --batch 2 --overwrite"),
    ],
)
def test_options_are_replaced(words, expected):
    assert replaced(words.split(), {"--batch": "2", "--overwrite": ""}) == expected.split()


@pytest.mark.parametrize(
    "said",
    [
        "DataLoader worker (pid(s) 7) exited unexpectedly",
        "DataLoader worker (pid 7) is killed by signal: Killed. ",  # seen while computing
    ],
)
def test_a_worker_that_was_killed_says_which_workers_to_use(said):
    with (
        pytest.raises(DetectorError, match="use --workers 0, or fewer"),
        short_memory(Settings(size=300), Path()),
    ):
        raise RuntimeError(said)


def test_who_ends_the_loaders_processes_ends_the_run(tmp_path):
    """Also in the middle of writing a checkpoint, where torch says it in its own words."""
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")
    with pytest.raises(KeyboardInterrupt), short_memory(Settings(), tmp_path):
        raise killed
    with pytest.raises(KeyboardInterrupt), short_memory(Settings(), tmp_path):
        raise RuntimeError("PytorchStreamWriter failed writing file") from killed
    with (
        pytest.raises(DetectorError, match="hangs or was killed"),
        short_memory(Settings(), tmp_path),
    ):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    with pytest.raises(DetectorError, match=r"^a box$"), short_memory(Settings(), tmp_path):
        raise DetectorError("a box")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_ctrl_c_says_how_to_go_on(tmp_path, error):
    said = []
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path, said.append):
        raise error
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path, said.append):
        raise error
    assert said == [
        "stopped before anything was kept; give the same command again with --overwrite",
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
@pytest.mark.parametrize(
    ("number", "everybody"),
    [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)],
)
def test_a_signal_in_mid_run(shapes, tmp_path, number, everybody):
    """Its last step is kept, unless the loader's process dies of the signal before it ends."""
    words = ["--data", str(shapes), "--out", str(tmp_path), *SMALL.split()]
    dies = everybody and number == signal.SIGTERM
    words += ["--save-seconds", "0" if dies else "3600", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words],
        **{"cwd": ROOT, "stderr": subprocess.PIPE, "text": True, "start_new_session": True},
    )
    folder = tmp_path / "shapes"
    deadline = time.monotonic() + 120
    while len(read_rows(folder / "log.csv")) < 5 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)
    if everybody:  # as a terminal does, or `timeout`: the loader's process gets it, too
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"stopped; go on with --resume {folder}"
    assert "Traceback" not in said
    last = max(int(row["step"]) for row in read_rows(folder / "log.csv"))
    assert load_checkpoint(folder / "last.ckpt")["global_step"] in (
        [last, last - 1] if dies else [last]
    )


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
    assert done.stderr.splitlines()[-1].startswith(
        "error: out of memory with --batch 512 at 300 px; use --batch 256: detector train --data "
    )
    assert "Traceback" not in done.stderr
