"""Reading TensorFlow's graph: what comes out of a folder, and every way it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from detector.errors import DetectorError
from detector.export.import_tf import Arrays, convert, read_tfjs
from detector.model.anchors import anchors_cxcywh
from detector.model.ssdlite import SSDLite


def write_graph(folder: Path, **changes: object) -> None:
    """Two weights in two shards, cut in the middle of the second weight."""
    data = np.arange(6, dtype="<f4").tobytes() + np.array([7, 8], "<i4").tobytes()
    (folder / "a").write_bytes(data[:20])
    (folder / "b").write_bytes(data[20:])
    group = {
        "paths": ["a", "b"],
        "weights": [
            {"name": "x", "shape": [2, 3], "dtype": "float32"},
            {"name": "y", "shape": [2], "dtype": "int32"},
        ],
        **changes,
    }
    (folder / "model.json").write_text(json.dumps({"weightsManifest": [group]}))


def test_weights_are_cut_from_the_shards(tmp_path: Path) -> None:
    write_graph(tmp_path)
    arrays = read_tfjs(tmp_path)
    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["y"].tolist() == [7, 8]
    assert arrays["y"].dtype == np.int32


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weightsManifest": 3}', '{"weightsManifest": [{}]}']
)
def test_a_json_that_is_no_graph(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DetectorError, match=r"model\.json: not a TensorFlow\.js graph") as caught:
        read_tfjs(tmp_path)
    assert "expected the folder that holds model.json" in str(caught.value)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"model\.json: not a TensorFlow\.js graph"):
        read_tfjs(tmp_path / "nowhere")


def test_a_missing_shard(tmp_path: Path) -> None:
    write_graph(tmp_path)
    (tmp_path / "b").unlink()
    with pytest.raises(DetectorError, match=r"b: this weight shard cannot be read .* a, b"):
        read_tfjs(tmp_path)


def test_a_short_shard_names_the_weight(tmp_path: Path) -> None:
    write_graph(tmp_path)
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[:-3])
    with pytest.raises(DetectorError, match="the shards end inside y, 3 bytes too early"):
        read_tfjs(tmp_path)


def test_a_long_shard(tmp_path: Path) -> None:
    write_graph(tmp_path)
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes() + b"12345")
    with pytest.raises(DetectorError, match="5 bytes follow the last weight"):
        read_tfjs(tmp_path)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "..", "sub/a", "..\\a", "C:a"])
def test_a_shard_outside_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    graph = tmp_path / "graph"
    graph.mkdir()
    (tmp_path / "a").write_bytes(bytes(32))
    write_graph(graph, paths=[name])
    with pytest.raises(DetectorError, match="expected the name of a file beside it") as caught:
        read_tfjs(graph)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        ({"name": "x", "shape": [8], "dtype": "float16"}, "x is float16"),
        ({"name": "x", "shape": [8], "dtype": "float32", "quantization": {}}, "x is quantized"),
    ],
)
def test_other_number_types(tmp_path: Path, weight: dict[str, object], problem: str) -> None:
    write_graph(tmp_path, weights=[weight])
    with pytest.raises(DetectorError, match=f"{problem}; expected plain float32 or int32"):
        read_tfjs(tmp_path)


def test_a_missing_weight(arrays: Arrays) -> None:
    name = "FeatureExtractor/MobilenetV2/expanded_conv_3/depthwise/depthwise_weights"
    without = {k: v for k, v in arrays.items() if k != name}
    with pytest.raises(
        DetectorError, match=rf"has no weight {name}, expected one of shape \(3, 3, 1"
    ):
        convert(without)


def test_a_weight_of_another_shape(arrays: Arrays) -> None:
    name = "BoxPredictor_2/ClassPredictor/biases"
    with pytest.raises(DetectorError, match=rf"{name} has shape \(21,\), expected \(546,\)"):
        convert({**arrays, name: np.zeros(21, np.float32)})


def test_a_weight_with_no_place(arrays: Arrays) -> None:
    with pytest.raises(DetectorError, match="1 weights have no place in the network: Mixed_5b/w"):
        convert({**arrays, "Mixed_5b/w": np.zeros((3, 3), np.float32)})


def test_a_graph_with_other_anchors(arrays: Arrays) -> None:
    name = "Postprocessor/ExpandDims"
    with pytest.raises(DetectorError, match=r"anchors .* are up to 0\.1 from"):
        convert({**arrays, name: arrays[name] + np.float32(0.1)})


def test_our_anchors_are_the_graphs(arrays: Arrays, folded: SSDLite) -> None:
    theirs = arrays["Postprocessor/ExpandDims"][0]  # ymin, xmin, ymax, xmax
    ours = anchors_cxcywh(folded.anchors, (300, 300)).numpy()
    corners = np.concatenate([ours[:, :2] - ours[:, 2:] / 2, ours[:, :2] + ours[:, 2:] / 2], 1)
    assert theirs.shape == (1917, 4)
    np.testing.assert_allclose(corners[:, [1, 0, 3, 2]], theirs, atol=1e-6, rtol=0)
