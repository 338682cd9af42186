"""Model files, whole and not."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import metadata
from detector.classes import COCO_CLASSES
from detector.errors import DetectorError
from detector.predictor import COCO_FLOAT, COCO_INT8


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, payload):
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def onnx_file(props, graph=b"\x0a\x00" * 30):
    """The top level of an ONNX file: version, producer, graph, opset, properties."""
    entries = (field(14, field(1, k.encode()) + field(2, v.encode())) for k, v in props.items())
    head = b"\x08\x08" + field(2, b"detector") + field(7, graph) + field(8, b"\x10\x12")
    return head + b"".join(entries)


GOOD = metadata.describe(("xoài", "cat"), 320, score=0.4, iou=0.5)


def read(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return metadata.read(path)


def test_what_is_described_is_read(tmp_path):
    found = read(tmp_path, onnx_file({**GOOD, "trained_on": "mangoes"}))
    assert found.class_names == ("xoài", "cat")
    assert (found.input_size, found.score, found.iou) == (320, 0.4, 0.5)
    assert found.notes == {"trained_on": "mangoes"}
    assert found.top_k == 100


def test_a_model_of_crowds_says_how_many_to_show(tmp_path):
    crowds = metadata.describe(("cell",), 512, top_k=640)
    assert read(tmp_path, onnx_file(crowds)).top_k == 640
    still = metadata.describe(("cell",), 512, vote=0)
    assert read(tmp_path, onnx_file(still)).vote == 0
    assert read(tmp_path, onnx_file(GOOD)).vote == 0.05
    assert not {"top_k", "vote"} & set(GOOD)  # as files were before


@pytest.mark.parametrize(("path", "precision"), [(COCO_FLOAT, "float16"), (COCO_INT8, "int8")])
def test_the_embedded_models(path, precision):
    found = metadata.read(path)
    assert found.class_names == COCO_CLASSES
    assert (found.input_size, found.precision) == (300, precision)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, where):
    """Short of the optional notes at the very end, which nothing here needs."""
    whole = COCO_INT8.read_bytes()
    needed = max(whole.rindex(key.encode()) for key in GOOD)
    path = tmp_path_factory.getbasetemp() / "cut.onnx"
    path.write_bytes(whole[: int(where * needed)])
    with pytest.raises(DetectorError, match=r"cut\.onnx: ") as caught:
        metadata.read(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400))
def test_a_small_file_cut_anywhere_is_refused(tmp_path_factory, where):
    whole = onnx_file(GOOD)
    path = tmp_path_factory.getbasetemp() / "cut.onnx"
    path.write_bytes(whole[: where % len(whole)])
    with pytest.raises(DetectorError, match=r"cut.onnx: (is empty|not a whole|an ONNX|its meta)"):
        metadata.read(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_error_of_ours(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorError):
        metadata.read(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_never_escape_as_anything_else(tmp_path_factory, data):
    content = bytearray(onnx_file(GOOD))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content)
    try:
        said = f"{path}: {metadata.read(path).class_names}"
    except DetectorError as error:
        said = str(error)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": "other/9"}, "without this project's metadata.*'other/9'"),
        ({"class_names": "[1, 2]"}, "not a list of names"),
        ({"class_names": "[]"}, "not a list of names"),
        ({"class_names": '["a"'}, "damaged"),
        ({"class_names": "[" * 100_000}, "damaged"),
        ({"input_size": "big"}, "damaged.*big"),
        ({"score": "nan"}, "score is nan"),
        ({"iou": "1.5"}, "iou is 1.5"),
        ({"top_k": "0"}, "top_k is 0"),
        ({"vote": "1.5"}, "vote is 1.5, not in 0..1"),
        ({"vote": "nan"}, "vote is nan, not in 0..1"),
        ({"top_k": "many"}, "damaged.*many"),
    ],
)
def test_damaged_metadata(tmp_path, changed, said):
    with pytest.raises(DetectorError, match=said):
        read(tmp_path, onnx_file({**GOOD, **changed}))


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_each_property_is_needed(tmp_path, missing):
    props = {key: value for key, value in GOOD.items() if key != missing}
    said = "without this project" if missing == "format" else f"lacks '{missing}'"
    with pytest.raises(DetectorError, match=said):
        read(tmp_path, onnx_file(props))


def test_not_a_file_of_ours(tmp_path):
    with pytest.raises(DetectorError, match="is empty"):
        read(tmp_path, b"")
    with pytest.raises(DetectorError, match="not a whole ONNX file"):
        read(tmp_path, b"a text file named .onnx, which is longer than a few bytes\n" * 9)
    with pytest.raises(DetectorError, match="no graph"):
        read(tmp_path, field(2, b"pytorch"))
    with pytest.raises(DetectorError, match=r"without this project's metadata \(format None"):
        read(tmp_path, onnx_file({}))
    with pytest.raises(DetectorError, match="is a folder"):
        metadata.read(tmp_path)
    with pytest.raises(DetectorError, match="no such model file"):
        metadata.read(tmp_path / "nothing.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(DetectorError, match="not a regular file"):
        metadata.read(tmp_path / "pipe.onnx")


def test_names_are_json_that_people_can_read():
    assert json.loads(GOOD["class_names"]) == ["xoài", "cat"]
    assert "xoài" in GOOD["class_names"]
