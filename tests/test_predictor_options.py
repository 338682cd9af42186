"""What the Detector may be told, and which file that means."""

import numpy as np
import pytest

from detector import Detector, DetectorError
from detector import predictor as predictor_module
from detector.predictor import COCO_FLOAT, COCO_INT8, choose_file, in_range, in_unit


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"score": 1.5}, r"score is 1.5; expected a number from 0 to 1"),
        ({"score": float("nan")}, "score is nan"),
        ({"iou": -0.1}, "iou is -0.1"),
        ({"iou": "half"}, "iou is 'half'"),
        ({"top_k": 0}, "top_k is 0; expected a whole number from 1"),
        ({"top_k": 2.5}, "top_k is 2.5"),
        ({"vote": 2}, "vote is 2; expected a number from 0 to 1"),
        ({"size": 0}, "size is 0; expected a whole number from 96 to 1280"),
        ({"size": 95}, "size is 95"),
        ({"size": 4000}, "size is 4000"),
        ({"threads": -1}, "threads is -1"),
        ({"streams": 0}, "streams is 0"),
        ({"classes": ["persn"]}, "class 'persn' is unknown to this model; did you mean 'person'?"),
        ({"classes": ["Person"]}, "did you mean 'person'?"),
        ({"classes": ["zzzzzz"]}, "class 'zzzzzz' is unknown.*it knows person, bicycle"),
        ({"classes": [3]}, "class 3 is unknown"),
        ({"engine": "tensorrt"}, "engine 'tensorrt' is unknown; expected one of openvino, onnx"),
        ({"precision": "int4"}, "precision 'int4' is unknown; expected one of auto, float, int8"),
        ({"model": None}, "model is None; expected a path"),
        ({"model": "nowhere.onnx"}, "nowhere.onnx: no such model file"),
        ({"model": ""}, "is a folder"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(DetectorError, match=said) as caught:
        Detector(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("fast", "chosen"), [(True, COCO_INT8), (False, COCO_FLOAT)])
def test_precision_of_the_embedded_model(monkeypatch, fast, chosen):
    monkeypatch.setattr(predictor_module, "has_int8_dot", lambda: fast)
    assert choose_file("coco", "auto") == chosen
    assert choose_file("coco", "auto", "onnxruntime") == COCO_FLOAT
    assert choose_file("coco", "float") == COCO_FLOAT
    assert choose_file("coco", "int8") == COCO_INT8


def test_precision_of_a_file(tmp_path):
    plain, int8 = tmp_path / "mango.onnx", tmp_path / "mango-int8.onnx"
    plain.write_bytes(COCO_FLOAT.read_bytes())
    assert choose_file(plain, "auto") == choose_file(plain, "float") == plain
    with pytest.raises(
        DetectorError, match=r"mango-int8.onnx: no such file; mango.onnx has no int8"
    ):
        choose_file(plain, "int8")
    int8.write_bytes(COCO_INT8.read_bytes())
    assert choose_file(plain, "auto") == plain, "a file that is named is the one that runs"
    assert choose_file(plain, "int8") == choose_file(int8, "int8") == int8
    assert choose_file(int8, "float") == plain
    plain.write_bytes(COCO_INT8.read_bytes())
    with pytest.raises(DetectorError, match=r"mango.onnx: holds int8 whatever its name"):
        Detector(plain, precision="float")


def test_numbers_are_checked():
    assert in_unit("x", np.float32(0.5)) == 0.5
    assert in_unit("x", True) == 1.0
    assert in_range("x", np.int64(3), 1, 3) == 3
    for value in (float("inf"), None, "x", [1]):
        with pytest.raises(DetectorError, match="x is"):
            in_unit("x", value)
        with pytest.raises(DetectorError, match="x is"):
            in_range("x", value, 0, 9)
