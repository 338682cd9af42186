"""What runs a model file: OpenVINO or ONNX Runtime behind one protocol."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from detector import model_cache
from detector.cpu import cpu_features, usable_cores
from detector.errors import DetectorError

Outputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
ENGINES = ("openvino", "onnxruntime")
COMPILED, FROM_CACHE = "compiled", "from cache"
_OUTPUTS = ("boxes", "scores")
# Both engines put their own source lines around what they have to say.
_NOISE = re.compile(r"Exception from \S+|Check '.*?' failed at \S+|\[ONNXRuntimeError\] : \d+ : ")


class Engine(Protocol):
    """A compiled model of fixed input size; `infer` may be called from any thread."""

    @property
    def description(self) -> str:
        """Engine, version and threads in a few words."""

    @property
    def origin(self) -> str:
        """How the model got ready: "compiled" or "from cache"."""

    @property
    def parallel(self) -> int:
        """How many threads calling `infer` keep every core busy."""

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        """uint8 BGR (1, h, w, 3) -> boxes (A, 4) xyxy as fractions, scores (A, K).

        The arrays are the engine's own and hold until this thread's next call.
        """

    def start(self, batch: npt.NDArray[np.uint8]) -> Callable[[], Outputs]:
        """As `infer`, in the background where the engine can: the call returned waits for it.

        Any number may be under way. The arrays are the caller's.
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
    streams = max(1, min(streams, threads))
    try:
        if name == "openvino":
            return OpenVINOEngine(path, size_hw, threads, streams)
        return OnnxRuntimeEngine(path, size_hw, threads, streams)
    except ImportError as error:
        raise DetectorError(
            f"engine {name} cannot be loaded ({error}); pip install {name}, "
            f"or choose {' or '.join(e for e in ENGINES if e != name)}"
        ) from error
    except Exception as error:  # both engines raise bare RuntimeErrors of many lines
        reason = " ".join(_NOISE.sub(" ", str(error)).split()).strip(" :")[:200]
        raise DetectorError(
            f"{path}: {name} cannot run it at {size_hw[1]}x{size_hw[0]} ({reason}); "
            "is the file whole, and written by `detector export`?"
        ) from error


def import_openvino() -> Any:
    """The openvino package, without its telemetry; call this instead of importing it.

    `import openvino` itself reports to Google Analytics, from a process of its own, unless the
    user opted out: openvino/tools/ovc/__init__.py sends an event through openvino-telemetry. Both
    expect to be missing and then do without, so both are given empty modules. The one of
    openvino-telemetry stays, so nothing later in this process can send either (nncf would). The
    converter's goes once openvino is loaded: importing it later works, but for now it would cost
    more than all the rest. (A program that imported openvino before us has had it reported.)
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))
        converter = "openvino.tools.ovc"
        sys.modules[converter] = ModuleType(converter)
        try:
            return importlib.import_module("openvino")
        finally:
            sys.modules.pop(converter, None)
    return importlib.import_module("openvino")


@cache
def openvino_core() -> Any:
    """OpenVINO's Core: one for the process, and never let go.

    Its CPU plugin gives the thread that makes a Core a stack for signals and, with the Core, takes
    it back. Of two Cores that end in the order they were made the second puts the first one's stack
    back, which is gone by then: the next Ctrl-C or child that ends kills the process (2026.4).
    """
    return import_openvino().Core()


class OpenVINOEngine:
    """OpenVINO on the CPU, its compiled model cached on disk."""

    def __init__(self, path: Path, size_hw: tuple[int, int], threads: int, streams: int) -> None:
        ov = import_openvino()
        options: dict[str, str | int] = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            # Some CPUs would compute floats as bfloat16; results are to be the same everywhere.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled, self.origin = _compile(ov, path, size_hw, options)
        self._local = threading.local()
        self._idle: deque[Any] = deque()  # requests that `start` made and has back
        self.parallel = streams
        # Once alone: two threads whose very first inferences meet can lock each other out for good
        # (one inside a C++ static initialiser that wants the interpreter, the other holding it).
        self.infer(np.zeros((1, *size_hw, 3), np.uint8))
        version = ov.__version__.split("-")[0]
        self.description = f"OpenVINO {version}, {threads} threads, {streams} streams"

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        """See Engine."""
        request = self._request()
        request.infer([batch], share_inputs=True)
        return _results(request)

    def start(self, batch: npt.NDArray[np.uint8]) -> Callable[[], Outputs]:
        """See Engine."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        request.start_async([batch], share_inputs=True)

        def wait() -> Outputs:
            request.wait()
            # `batch` is named so that it outlives the request, which reads it where it lies.
            assert batch is not None
            boxes, scores = _results(request)
            outputs = boxes.copy(), scores.copy()
            self._idle.append(request)
            return outputs

        return wait

    def _request(self) -> Any:
        """This thread's own: one request cannot run twice at a time."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        return self._local.request


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU; its threads are shared by every stream."""

    origin = COMPILED

    def __init__(self, path: Path, size_hw: tuple[int, int], threads: int, streams: int) -> None:
        ort = importlib.import_module("onnxruntime")
        if hasattr(ort, "disable_telemetry_events"):  # Windows builds trace their use
            ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # One stream spreads each layer over all threads; several run each on a share of them.
        options.intra_op_num_threads = max(1, threads // streams)
        options.add_free_dimension_override_by_name("height", size_hw[0])
        options.add_free_dimension_override_by_name("width", size_hw[1])
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.parallel = streams
        self._pool = ThreadPoolExecutor(streams, "onnxruntime")
        self.description = f"ONNX Runtime {ort.__version__}, {threads} threads, {streams} streams"

    def infer(self, batch: npt.NDArray[np.uint8]) -> Outputs:
        """See Engine."""
        boxes, scores = self._session.run(_OUTPUTS, {"frame": batch})
        return boxes[0], scores[0]

    def start(self, batch: npt.NDArray[np.uint8]) -> Callable[[], Outputs]:
        """See Engine. With one stream it runs when waited for: each run has every core already."""
        if self.parallel == 1:
            return partial(self.infer, batch)
        return self._pool.submit(self.infer, batch).result


def _results(request: Any) -> Outputs:
    """Boxes and scores of a request of OpenVINO's that is done; the memory stays its own."""
    boxes, scores = (request.get_tensor(name).data[0] for name in _OUTPUTS)
    return boxes, scores


def _compile(
    ov: Any, path: Path, size_hw: tuple[int, int], options: dict[str, str | int]
) -> tuple[Any, str]:
    """OpenVINO's compiled model and where it came from; a new one is kept for the next start."""
    core = openvino_core()
    cpu = core.get_property("CPU", "FULL_DEVICE_NAME"), sorted(cpu_features())
    key = model_cache.key_of(path.read_bytes(), [ov.__version__, cpu, size_hw, options])
    folder = model_cache.cache_folder()
    if blob := model_cache.load(folder, key):
        try:
            return core.import_model(blob, "CPU", options), FROM_CACHE
        except Exception:  # bare RuntimeErrors; whatever it dislikes, compiling still works
            blob = None
    model = core.read_model(path)
    model.reshape([1, *size_hw, 3])
    compiled = core.compile_model(model, "CPU", options)
    exported = compiled.export_model()  # BytesIO, of older releases bytes
    model_cache.store(folder, key, getattr(exported, "getvalue", lambda: exported)())
    return compiled, COMPILED
