"""What runs a model file: OpenVINO or ONNX Runtime behind one protocol."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detector.errors import DetectorError

Outputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
ENGINES = ("openvino", "onnxruntime")


class Engine(Protocol):
    """A compiled model of fixed input size; `infer` may be called from `parallel` threads at once."""

    @property
    def description(self) -> str:
        """Engine, version and threads in a few words."""

    @property
    def parallel(self) -> int:
        """How many threads calling `infer` keep every core busy."""

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        """uint8 BGR (1, h, w, 3) -> boxes (A, 4) xyxy as fractions, scores (A, K).

        The arrays are the engine's own and hold until this thread's next call.
        """


def load_engine(
    path: Path, size_hw: tuple[int, int], *, name: str, threads: int, streams: int
) -> Engine:
    """Compile the model file at `path` for inputs of `size_hw` pixels.

    threads: cores to use in all, 0 for every core. streams: inferences to run side by side
    (1: lowest latency; as many as cores: most frames a second).
    Raises DetectorError for an unknown or missing engine and for a file it cannot compile.
    """
    if name not in ENGINES:
        raise DetectorError(f"engine {name!r} is unknown; expected one of {', '.join(ENGINES)}")
    threads = threads or usable_cores()
    kind = OpenVINOEngine if name == "openvino" else OnnxRuntimeEngine
    try:
        return kind(path, size_hw, threads, max(1, min(streams, threads)))
    except ImportError as error:
        raise DetectorError(
            f"engine {name} is not installed ({error}); pip install 'mobilenet-ssd[{name}]'"
        ) from error
    except DetectorError:
        raise
    except Exception as error:  # both engines raise bare RuntimeErrors of many lines
        reason = " ".join(str(error).split())[:200]
        raise DetectorError(
            f"{path}: {name} cannot run it at {size_hw[1]}x{size_hw[0]} ({reason}); "
            "is the file whole, and written by `detector export`?"
        ) from error


def usable_cores() -> int:
    """Cores this process may run on, which in a container or under taskset are not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_int8_dot() -> bool:
    """Whether the CPU multiplies int8 faster than float: VNNI or AMX on x86, dotprod on Arm."""
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "INT8" in capabilities and _flags_say_dot()


def _flags_say_dot() -> bool:
    """Reads Linux's CPU flags; elsewhere an Arm machine is taken to have dotprod (Apple's do)."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return os.uname().machine == "arm64" if hasattr(os, "uname") else False
    words = set(text.split())
    return bool(words & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def cache_folder() -> Path:
    """Where compiled models are kept between starts; `DETECTOR_CACHE` moves it."""
    if own := os.environ.get("DETECTOR_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mobilenet-ssd"


class OpenVINOEngine:
    """OpenVINO on the CPU, its compiled model cached on disk."""

    def __init__(self, path: Path, size_hw: tuple[int, int], threads: int, streams: int) -> None:
        import openvino as ov

        core = ov.Core()
        options: dict[str, str | int] = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            # Some CPUs would compute floats as bfloat16; results are to be the same everywhere.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if folder := _writable(cache_folder()):
            options["CACHE_DIR"] = str(folder)
        model = core.read_model(path)
        model.reshape([1, *size_hw, 3])
        self._compiled = core.compile_model(model, "CPU", options)
        self._local = threading.local()
        self._parallel = streams
        self.description = f"OpenVINO {ov.__version__.split('-')[0]}, {threads} threads, {streams} streams"

    @property
    def parallel(self) -> int:
        return self._parallel

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        request = self._local.request
        request.infer([batch], share_inputs=True)
        boxes, scores = (request.get_output_tensor(i).data[0] for i in (0, 1))
        return boxes, scores


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU; its threads are shared by every stream."""

    def __init__(self, path: Path, size_hw: tuple[int, int], threads: int, streams: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        # One stream spreads each layer over all threads; several run each on a share of them.
        options.intra_op_num_threads = max(1, threads // streams)
        options.add_free_dimension_override_by_name("height", size_hw[0])
        options.add_free_dimension_override_by_name("width", size_hw[1])
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._parallel = streams
        self.description = f"ONNX Runtime {ort.__version__}, {threads} threads, {streams} streams"

    @property
    def parallel(self) -> int:
        return self._parallel

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        boxes, scores = self._session.run(["boxes", "scores"], {"frame": batch})
        return boxes[0], scores[0]


def _writable(folder: Path) -> Path | None:
    """The folder, made if need be, or None where nothing can be kept: then nothing is cached."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
