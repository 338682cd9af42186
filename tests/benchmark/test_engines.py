"""Every engine loads the embedded model; what cannot be had is told in one line."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.benchmark import engines
from detector.benchmark.engines import OpenCvDetector, load_finder, model_files, weights_of
from detector.errors import DetectorError
from detector.predictor import COCO_FLOAT, COCO_INT8

pytestmark = pytest.mark.usefixtures("opencv_threads")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "opencv", "torch"])
def test_every_engine_detects(engine: str, make_setup) -> None:
    torch = pytest.importorskip("torch") if engine == "torch" else None
    before = torch.get_num_threads() if torch else 0
    finder = load_finder(make_setup(engine, "float", size=96), score=0.05)
    if torch:
        torch.set_num_threads(before)
    found, timing = finder.detect_timed(np.full((96, 96, 3), 127, np.uint8))
    assert finder.class_names[0] == "person"
    assert timing.infer_ms > 0
    assert all(found.scores >= 0.05)


def test_what_opencv_cannot_read_is_one_line() -> None:
    if int(cv2.__version__.split(".")[0]) != 5:
        pytest.skip("other releases read other files")
    with pytest.raises(DetectorError, match=r"^OpenCV 5\S+ cannot run .*-int8\.onnx: .+$"):
        OpenCvDetector(COCO_INT8, 300, score=0.5, threads=1)


def test_torch_needs_weights_beside_the_file(tmp_path) -> None:
    for name in ("mango.onnx", "model.onnx", "model-int8.onnx"):
        (tmp_path / name).touch()
    assert weights_of(tmp_path / "mango.onnx") is None
    (tmp_path / "weights.safetensors").touch()
    assert weights_of(tmp_path / "mango.onnx") is None  # those are of a run's model
    assert weights_of(tmp_path / "model-int8.onnx") == tmp_path / "weights.safetensors"
    (tmp_path / "mango.safetensors").touch()
    assert weights_of(tmp_path / "mango.onnx") == tmp_path / "mango.safetensors"


def test_what_is_not_installed_is_not_available(monkeypatch) -> None:
    assert engines.available("openvino")
    monkeypatch.setitem(engines.NEEDED, "onnxruntime", "no_such_package")
    assert not engines.available("onnxruntime")


def test_files_of_a_model(tmp_path) -> None:
    said: list[str] = []
    assert model_files("coco", [], said.append) == {"int8": COCO_INT8, "float": COCO_FLOAT}
    assert not said
    own = Path(shutil.copy(COCO_FLOAT, tmp_path / "own.onnx"))
    assert model_files(str(own), [], said.append) == {"float": own}
    assert said[0].startswith("int8 is left out: ")
    with pytest.raises(DetectorError, match="no int8 form"):
        model_files(str(own), ["int8"], said.append)
    shutil.copy(COCO_FLOAT, tmp_path / "own-int8.onnx")
    with pytest.raises(DetectorError, match="holds float whatever its name"):
        model_files(str(own), ["int8"], said.append)
    with pytest.raises(DetectorError, match=r"none\.onnx: no such model file"):
        model_files(str(tmp_path / "none.onnx"), [], said.append)
