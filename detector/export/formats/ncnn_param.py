"""ncnn's NAME.param and NAME.bin, made by pnnx; NAME.json beside them says what they are.

One input size. The input `in0` is float32 (3, H, W): BGR in 0..255, as `ncnn::Mat::from_pixels`
gives it with PIXEL_BGR; or with input "tensor" RGB in 0..1. Outputs `out0`, `out1` are the two of
the interface, without the first axis.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from detector.errors import DetectorError
from detector.export.formats import Runner
from detector.export.interface import Order
from detector.export.network import Shipped, example

PARTS = ("in0", "out0", "out1")


def write(path: Path, order: Order) -> None:
    """Write the three files; DetectorError when pnnx fails."""
    pnnx = importlib.import_module("pnnx")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side = order.size
        # pnnx leaves files of its own beside its input: a folder for them.
        command = [pnnx.EXEC_PATH, "traced.pt", f"inputshape=[1,3,{side},{side}]f32"]
        command.append(f"fp16={int(order.precision == 'float16')}")
        command += [f"ncnnparam={path.resolve()}", f"ncnnbin={path.with_suffix('.bin').resolve()}"]
        _trace(order).save(folder / "traced.pt")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise DetectorError(f"--out {path.name}: pnnx cannot convert it ({''.join(last)[:200]})")
    about = dict(order.described())
    about["outputs"] = ", ".join(f"out{i}: {n}" for i, n in enumerate(order.output_names))
    text = json.dumps(about, ensure_ascii=False, indent=1)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _trace(order: Order) -> torch.jit.ScriptModule:
    """TorchScript, deprecated as it is: it is what pnnx reads."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        shipped = Shipped(order, planar=True).eval()
        trace: Any = torch.jit.trace  # without types
        traced: torch.jit.ScriptModule = trace(shipped, example(order, planar=True))
    return traced


def load(path: Path, order: Order, threads: int) -> Runner:
    """Runs the files with ncnn on the CPU."""
    ncnn = importlib.import_module("ncnn")
    net = ncnn.Net()
    net.opt.num_threads = threads
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise DetectorError(f"--out {path.name}: ncnn cannot load what pnnx wrote")

    def run(frame: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        fed = order.feed(frame)
        planes = fed[0].transpose(2, 0, 1) if order.input == "frame" else fed[0]
        planes = np.ascontiguousarray(planes, np.float32)
        # A Mat does not hold on to an array's memory, nor align it: hence a name, and a clone.
        extractor = net.create_extractor()
        extractor.input(PARTS[0], ncnn.Mat(planes).clone())
        outputs = {}
        for name, part in zip(order.output_names, PARTS[1:], strict=True):
            code, mat = extractor.extract(part)
            if code:
                raise DetectorError(f"--out {path.name}: ncnn cannot run it (code {code})")
            outputs[name] = np.array(mat)[None]
        return outputs

    return run
