"""Engines: missing ones, damaged files, the cache between starts, and no telemetry."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector import engine as engine_module
from detector.engine import import_openvino, load_engine
from detector.errors import DetectorError
from detector.predictor import COCO_FLOAT, COCO_INT8

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def openvino(path=COCO_INT8, size=96, **options):
    """A small input: what is tested here does not depend on it, and it compiles faster."""
    return load_engine(
        path, (size, size), name="openvino", **{"threads": 1, "streams": 1, **options}
    )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A cache with the small model in it, and what that computes."""
    folder = tmp_path_factory.mktemp("compiled") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETECTOR_CACHE", str(folder))
        engine = openvino()
    assert engine.origin == "compiled"
    return folder, outputs(engine)


@pytest.fixture
def warm_cache(cache, compiled):
    """A copy of it, to damage."""
    shutil.copytree(compiled[0], cache)
    return cache


BATCH = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 3), np.uint8)


def outputs(engine):
    return [array.copy() for array in engine.infer(BATCH)]


def test_a_second_start_takes_it_from_the_cache(warm_cache, compiled):
    assert len(list(warm_cache.iterdir())) == 1
    second = openvino()
    assert second.origin == "from cache"
    for a, b in zip(compiled[1], outputs(second), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_cache")
def test_other_circumstances_are_other_models(tmp_path):
    assert openvino(size=128).origin == "compiled"
    assert openvino(threads=2).origin == "compiled"
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(COCO_INT8.read_bytes())
    assert openvino(copy).origin == "from cache", "the content counts, not the name"


@pytest.mark.parametrize(
    "damage",
    ["cut", *(pytest.param(d, marks=pytest.mark.slow) for d in ("garbage", "right digest"))],
)
def test_a_damaged_cache_is_compiled_anew(warm_cache, compiled, damage):
    (path,) = warm_cache.iterdir()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "garbage":
        path.write_bytes(b"\0" * 5000)
    else:  # written whole, but nothing that OpenVINO could load
        monkey = engine_module.model_cache
        monkey.store(warm_cache, path.stem.removeprefix("detector-"), b"not a compiled model" * 50)
    again = openvino()
    assert again.origin == "compiled"
    assert all(map(np.array_equal, outputs(again), compiled[1]))
    assert openvino().origin == "from cache", "and mended"


@pytest.mark.slow
def test_no_place_for_a_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "file" / "folder"))
    assert openvino().origin == "compiled"
    assert openvino().origin == "compiled"


@pytest.mark.slow
def test_two_processes_at_once(cache):
    code = (
        "from detector.engine import load_engine; from detector.predictor import COCO_INT8\n"
        "e = load_engine(COCO_INT8, (96, 96), name='openvino', threads=1, streams=1)\n"
        "import numpy as np; print(e.infer(np.zeros((1, 96, 96, 3), np.uint8))[1].sum())"
    )
    command = [sys.executable, "-c", code]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert printed[0] == printed[1] != ""
    assert [path.suffix for path in cache.iterdir()] == [".blob"]
    assert openvino().origin == "from cache"


TWO_IN_TURN = """
import os, signal, time
from detector.engine import load_engine
from detector.predictor import COCO_FLOAT, COCO_INT8
first, second = (
    load_engine(path, (96, 96), name="openvino", threads=1, streams=1)
    for path in (COCO_INT8, COCO_FLOAT)
)
del first, second  # in the order they were made
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as Unix has them")
def test_ctrl_c_after_two_engines_is_no_crash():
    done = subprocess.run(
        [sys.executable, "-c", TWO_IN_TURN], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_engine(monkeypatch, cache, name):
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DetectorError, match=f"engine {name} cannot be loaded.*pip install {name}"):
        load_engine(COCO_FLOAT, (96, 96), name=name, threads=1, streams=1)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_damaged_bytes_are_one_line(cache, tmp_path, name):
    """Lengths stay right, so that only the engine can see the damage (or run it all the same)."""
    if name == "onnxruntime":
        pytest.importorskip("onnxruntime")
    rng, whole, refused = random.Random(5), COCO_INT8.read_bytes(), []
    path = tmp_path / "damaged.onnx"
    for _ in range(6):
        content = bytearray(whole)
        for _ in range(5):  # the first nodes: names and operators
            content[rng.randrange(40, 2500)] = rng.randrange(256)
        path.write_bytes(content)
        try:
            load_engine(path, (96, 96), name=name, threads=1, streams=1)
        except DetectorError as error:
            refused.append(str(error))
    assert len(refused) >= 3
    for message in refused:
        assert message.startswith(f"{path}: {name} cannot run it at 96x96 (")
        assert "\n" not in message
        assert "src/" not in message, "no source lines of the engine's"


@pytest.mark.slow
def test_sizes_need_no_new_file(cache):
    sizes = {
        size: len(openvino(size=size).infer(np.zeros((1, size, size, 3), np.uint8))[0])
        for size in (96, 160)
    }
    assert sizes[160] > sizes[96] > 0


@pytest.mark.slow
def test_descriptions_and_streams(cache):
    engine = openvino(threads=2, streams=8)
    assert engine.parallel == 2, "more streams than threads would only wait for each other"
    assert engine.description.startswith("OpenVINO ")
    assert "2 threads, 2 streams" in engine.description


QUIET = """
import socket, subprocess, sys, os
def refuse(*_, **__): os.write(2, b"NETWORK"); raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
os.fork = refuse  # the telemetry sends from a forked process
from detector.engine import import_openvino
ov = import_openvino()
assert ov.Core().available_devices
assert "openvino_telemetry.main" not in sys.modules
assert "openvino.tools.ovc" not in sys.modules
import openvino.tools.ovc as converter  # by name it can still be had, mute
assert type(converter.telemetry).__module__ == "openvino.tools.ovc.telemetry_stub"
assert import_openvino() is ov
print("quiet")
"""


def test_openvino_sends_nothing(tmp_path):
    """Run without CI=true, under which its telemetry would be mute anyway, in a fresh home."""
    result = subprocess.run(
        [sys.executable, "-c", QUIET],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.stdout, result.stderr) == ("quiet\n", "")
    assert list(tmp_path.iterdir()) == [], "nor does it leave a client id behind"


def test_import_openvino_is_openvino():
    assert import_openvino() is sys.modules["openvino"]
