"""The command line as a whole: verbs, exit codes, what is imported, what stdout carries."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from verbs import exit_of

from detector import cli
from detector.errors import DetectorError, SourceLostError

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "lightning", "pytorch_lightning", "torchvision", "onnx", "nncf", "albumentations")
UNNEEDED = (*HEAVY, "PIL", "matplotlib", "onnxruntime", "starlette", "uvicorn")


def run(code, *args, **options):
    """A fresh interpreter on `code`."""
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


LIGHT = ("detector.predictor", "detector.cli", "detector.commands.detect", "detector.commands.demo")


def test_nothing_heavy_is_imported():
    """Each in turn: the first line with a heavy module is its importer's.

    Importing the root script does all that running it does before main().
    """
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]: importlib.import_module(name); print(*sys.modules)"
    )
    result = run(code, *LIGHT, "demo")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    for name, line in zip((*LIGHT, "demo"), lines, strict=True):
        modules = set(line.split())
        assert {name, "detector"} <= modules
        assert modules.isdisjoint(UNNEEDED), name


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the blocker does not work")
import cv2
from detector import Detector
from detector.cli import main
video = cv2.VideoCapture("detector/assets/sample.mp4")
cv2.imwrite(sys.argv[2], video.read()[1])
print(*Detector(precision="float")(sys.argv[2]).names)
main(["detect", sys.argv[2], "--precision", "float"])
"""


def test_it_detects_where_only_the_base_install_is(tmp_path):
    env = {**os.environ, "DETECTOR_CACHE": str(tmp_path / "cache")}
    result = run(BLOCKER, ",".join(UNNEEDED), str(tmp_path / "a.png"), env=env)
    assert result.returncode == 0, result.stderr
    names, _heading, *rows = result.stdout.splitlines()
    assert "person" in names.split()
    assert len(rows) == len(names.split())


def test_no_verb_shows_help(capsys):
    code, out, _ = exit_of([], capsys)
    assert code == 0
    for verb in cli.VERBS:
        assert verb in out


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_has_help(verb, capsys):
    code, out, _ = exit_of([verb, "--help"], capsys)
    assert code == 0
    assert f"usage: detector {verb} " in out
    assert "options options" not in out if verb == "detect" else True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["detct"], "'detct' is no verb; did you mean detect?"),
        (["xyz"], "'xyz' is no verb; expected one of demo, detect"),
        (["detect", "--bogus", "a.jpg"], "--bogus"),
        (["detect", "a.jpg", "--score", "high"], "--score"),
        (["detect", "a.jpg", "--engine", "gpu"], "onnxruntime"),
        (["--bogus"], "--bogus"),
    ],
)
def test_words_it_does_not_know(words, said, capsys):
    code, out, err = exit_of(words, capsys)
    assert code == 2
    assert said in err
    assert out == ""
    assert "Traceback" not in err


class Stub:
    """A verb that does what a test wants."""

    def __init__(self, does):
        self.does = does

    def run(self):
        if isinstance(self.does, BaseException):
            raise self.does
        return self.does


@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        (0, 0, ""),
        (2, 2, ""),
        (DetectorError("a.jpg: is empty"), 2, "error: a.jpg: is empty\n"),
        (SourceLostError("camera 0: gone"), 3, "error: camera 0: gone\n"),
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 2, "error: [Errno 28] No space left on device\n"),
    ],
)
def test_exit_codes(does, code, said, capsys, monkeypatch):
    monkeypatch.setattr(cli, "parse", lambda *_: Stub(does))
    monkeypatch.setattr(cli, "_drop_stdout", lambda: None)  # it would drop pytest's own
    assert exit_of(["demo"], capsys) == (code, "", said)


# Output held back until the end, as users have it: the errors then come at the very last.
BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}

PRINTER = """
import sys
from detector import cli
class Verb:
    def run(self):
        for i in range(int(sys.argv[1])): print("line", i)
        return 0
cli.parse = lambda *_: Verb()
cli.main(["detect"])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("lines", [3, 100_000])
def test_a_reader_that_leaves(lines):
    command = [sys.executable, "-c", PRINTER, str(lines)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=BUFFERED, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if lines > 10:
        assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_to_a_full_disk():
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", PRINTER, "3"],
            cwd=ROOT,
            env=BUFFERED,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 2
    assert result.stderr == "error: [Errno 28] No space left on device\n"


SLEEPER = """
import time
from detector import cli
class Verb:
    def run(self):
        print("ready", flush=True)
        time.sleep(60)
cli.parse = lambda *_: Verb()
cli.main(["detect"])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_leaves_no_trace():
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


NAMES = """
from detector import cli
class Verb:
    def run(self):
        print("xo\\u00e0i \\udcff")
        raise cli.DetectorError("class 'xo\\u00e0i' is unknown")
cli.parse = lambda *_: Verb()
cli.main(["detect"])
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_names_that_the_terminal_cannot_show(encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    result = subprocess.run(
        [sys.executable, "-c", NAMES], cwd=ROOT, env=env, capture_output=True, timeout=60
    )
    assert result.returncode == 2
    shown = "xoài".encode(encoding, "backslashreplace")
    assert result.stdout.splitlines() == [shown + rb" \udcff"]
    assert result.stderr.splitlines() == [b"error: class '" + shown + b"' is unknown"]


def test_a_verb_of_the_train_extra_says_how_to_get_it(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"")
    blocked = (
        "import sys; sys.modules['torch'] = None; sys.modules['safetensors'] = None\n"
        "from detector.cli import main; main(sys.argv[1:])"
    )
    words = ["export", str(tmp_path / "cut.safetensors"), "--out", str(tmp_path / "out.onnx")]
    ended = run(blocked, *words)
    assert ended.returncode == 2
    assert "pip install 'mobilenet-ssd[train]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out.onnx").exists()
