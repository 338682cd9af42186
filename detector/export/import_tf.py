"""Read TensorFlow's `ssdlite_mobilenet_v2_coco` from a TensorFlow.js graph folder.

Every weight is checked by name and shape, and every one must be used. The graph's batch norms are
folded into its convolutions; they are unfolded on real pictures, so that the network can be trained
on through them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from detector.classes import COCO_CATEGORY_IDS
from detector.errors import DetectorError
from detector.model.anchors import anchors_cxcywh
from detector.model.layers import BN_EPS, ConvBN
from detector.model.mobilenet_v2 import MobileNetV2
from detector.model.ssdlite import ExtraMap, Predictor, SSDLite, ssdlite_mobilenet_v2

Arrays = dict[str, npt.NDArray[np.generic]]
TF_CLASSES = 91  # column 0 is background, then COCO's ids 1..90 with ten never used
_DTYPES = {"float32": "<f4", "int32": "<i4"}  # both of four bytes
_ANCHORS = "Postprocessor/ExpandDims"


def read_tfjs(folder: Path) -> Arrays:
    """All weights of a TensorFlow.js graph folder (`model.json` and its shards), by name.

    Raises DetectorError for a folder that is none, a missing or short shard, a shard outside the
    folder and an unknown data type.
    """
    manifest = folder / "model.json"
    arrays: Arrays = {}
    try:
        for group in json.loads(manifest.read_text(encoding="utf-8"))["weightsManifest"]:
            arrays.update(_cut(folder, _join(folder, group["paths"]), group["weights"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{manifest}: not a TensorFlow.js graph ({type(error).__name__}: {error}); expected "
            "the folder that holds model.json with a weightsManifest"
        ) from error
    return arrays


def _join(folder: Path, names: Sequence[str]) -> bytes:
    """The shards `names` of a folder, one behind the other."""
    for name in names:
        # A manifest is somebody else's: it must not make us read other files of this machine.
        if name == ".." or PureWindowsPath(name).name != name:
            raise DetectorError(
                f"{folder / 'model.json'}: names the shard {name!r}; expected the name of a file "
                "beside it, with no folder"
            )
    try:
        return b"".join((folder / name).read_bytes() for name in names)
    except OSError as error:
        raise DetectorError(
            f"{error.filename}: this weight shard cannot be read ({error.strerror}); "
            f"expected all of {', '.join(names)} beside model.json"
        ) from error


def _cut(folder: Path, data: bytes, weights: Iterable[dict[str, Any]]) -> Arrays:
    """The arrays that lie in `data` one behind the other, by name."""
    arrays: Arrays = {}
    start = 0
    for weight in weights:
        name, shape, kind = weight["name"], weight["shape"], weight["dtype"]
        if kind not in _DTYPES or "quantization" in weight:
            what = "quantized" if "quantization" in weight else kind
            raise DetectorError(
                f"{folder / 'model.json'}: {name} is {what}; expected plain float32 or int32"
            )
        count = math.prod(shape)
        if start + 4 * count > len(data):
            raise DetectorError(
                f"{folder}: the shards end inside {name}, {start + 4 * count - len(data)} bytes "
                "too early; fetch them again"
            )
        arrays[name] = np.frombuffer(data, _DTYPES[kind], count, start).reshape(shape)
        start += 4 * count
    if start != len(data):
        raise DetectorError(
            f"{folder}: {len(data) - start} bytes follow the last weight; expected none, "
            "so model.json and the shards are of different graphs: fetch them again"
        )
    return arrays


class _Reader:
    """Hands out weights in PyTorch's layout, checks shapes, and remembers what was used."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.unused = set(arrays)

    def get(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The weight `name` in float32, if it has this shape."""
        if name not in self.arrays:
            raise _foreign(f"has no weight {name}, expected one of shape {shape}")
        array = self.arrays[name]
        if array.shape != shape:
            raise _foreign(f"{name} has shape {array.shape}, expected {shape}")
        self.unused.discard(name)
        return torch.from_numpy(array.astype(np.float32))

    def conv(self, name: str, conv: nn.Conv2d) -> None:
        """A full convolution: HWIO there, OIHW here."""
        o, i, h, w = conv.weight.shape
        conv.weight.data = self.get(name, (h, w, i, o)).permute(3, 2, 0, 1).contiguous()

    def depthwise(self, name: str, conv: nn.Conv2d) -> None:
        """A depthwise convolution: HWC1 there, C1HW here."""
        c, _, h, w = conv.weight.shape
        conv.weight.data = self.get(name, (h, w, c, 1)).permute(2, 3, 0, 1).contiguous()

    def folded(self, scope: str, layer: ConvBN) -> None:
        """A convolution whose batch norm is folded: a scale and a bias remain of it."""
        channels = layer.conv.out_channels
        if layer.conv.groups > 1:
            self.depthwise(f"{scope}/depthwise_weights", layer.conv)
            scale = self.get(f"{scope}/BatchNorm/batchnorm/mul", (channels,))
            layer.conv.weight.data *= scale[:, None, None, None]
        else:
            self.conv(f"{scope}/Conv2D/merged_input", layer.conv)
        bias = self.get(f"{scope}/BatchNorm/batchnorm/sub", (channels,))
        _set_folded(layer, bias)

    def predictor(self, scope: str, head: Predictor, tf_values: int, keep: list[int]) -> None:
        """A predictor of `tf_values` numbers an anchor, of which we take the columns `keep`.

        Its batch norm is plain, and folded here like the others: every weight then reaches an
        exported file just as it is stored, without a second rounding to float16.
        """
        layer = head.depthwise
        c = layer.conv.out_channels
        self.depthwise(f"{scope}_depthwise/depthwise_weights", layer.conv)
        gamma, beta, mean, var = (
            self.get(f"{scope}_depthwise/BatchNorm/{part}", (c,))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / torch.sqrt(var + BN_EPS)
        layer.conv.weight.data *= scale[:, None, None, None]
        _set_folded(layer, beta - mean * scale)
        per_cell = head.predict.out_channels // len(keep)
        weight = self.get(f"{scope}/weights", (1, 1, c, per_cell * tf_values))[0, 0].T
        bias = self.get(f"{scope}/biases", (per_cell * tf_values,))
        rows = weight.reshape(per_cell, tf_values, c)[:, keep]
        head.predict.weight.data = rows.reshape(-1, c, 1, 1)
        assert head.predict.bias is not None
        head.predict.bias.data = bias.reshape(per_cell, tf_values)[:, keep].reshape(-1)


def convert(arrays: Arrays) -> SSDLite:
    """The 80-class network in eval mode, batch norms still folded.

    Raises DetectorError when a weight is missing, has another shape, or is left over, and when the
    graph's own anchors are not ours.
    """
    model = ssdlite_mobilenet_v2(len(COCO_CATEGORY_IDS)).eval()
    reader = _Reader(arrays)
    _fill_features(reader, model)
    for i, (classes, boxes) in enumerate(zip(model.class_heads, model.box_heads, strict=True)):
        assert isinstance(classes, Predictor)
        assert isinstance(boxes, Predictor)
        box = f"BoxPredictor_{i}"
        reader.predictor(f"{box}/ClassPredictor", classes, TF_CLASSES, list(COCO_CATEGORY_IDS))
        # TensorFlow writes ty, tx, th, tw; we write tx, ty, tw, th.
        reader.predictor(f"{box}/BoxEncodingPredictor", boxes, 4, [1, 0, 3, 2])
    _check_anchors(reader, model)
    # What else a graph holds is single numbers and the shapes of its reshapes.
    left = sorted(n for n in reader.unused if arrays[n].dtype.kind == "f" and arrays[n].size > 1)
    if left:
        raise _foreign(f"{len(left)} weights have no place in the network: {', '.join(left[:5])}")
    return model


def _fill_features(reader: _Reader, model: SSDLite) -> None:
    """Everything before the predictors. The names are the graph's own."""
    root = "FeatureExtractor/MobilenetV2"
    assert isinstance(model.backbone, MobileNetV2)
    reader.folded(f"{root}/Conv", model.backbone.stem)
    for i, block in enumerate(model.backbone.blocks):
        scope = f"{root}/expanded_conv_{i}" if i else f"{root}/expanded_conv"
        for part in ("expand", "depthwise", "project"):
            layer = getattr(block, part)
            if isinstance(layer, ConvBN):  # the first block expands nothing
                reader.folded(f"{scope}/{part}", layer)
    reader.folded(f"{root}/Conv_1", model.backbone.last)
    for i, extra in enumerate(model.extras, start=2):
        assert isinstance(extra, ExtraMap)
        wide, narrow = extra.expand.conv.out_channels, extra.squeeze.conv.out_channels
        second = f"{root}/layer_19_2_Conv2d_{i}_3x3_s2_{wide}"
        reader.folded(f"{root}/layer_19_1_Conv2d_{i}_1x1_{narrow}", extra.squeeze)
        reader.folded(f"{second}_depthwise", extra.depthwise)
        reader.folded(second, extra.expand)


def _check_anchors(reader: _Reader, model: SSDLite) -> None:
    """The graph carries its anchors (1, A, 4) as ymin, xmin, ymax, xmax, fractions."""
    side = model.anchors.native_size
    ours = anchors_cxcywh(model.anchors, (side, side))
    centre, half = ours[:, :2].flip(1), ours[:, 2:].flip(1) / 2
    ours_yxyx = torch.cat([centre - half, centre + half], dim=1)
    apart = float((reader.get(_ANCHORS, (1, len(ours), 4))[0] - ours_yxyx).abs().max())
    if not apart < 1e-5:
        raise _foreign(f"its anchors ({_ANCHORS}) are up to {apart:.3g} from the expected ones")


def _foreign(problem: str) -> DetectorError:
    return DetectorError(f"tfjs graph: {problem}; is this ssdlite_mobilenet_v2_coco, and whole?")


@torch.no_grad()
def unfold_batch_norms(model: SSDLite, batches: Iterable[Tensor]) -> None:
    """Give folded batch norms real statistics, in place, leaving eval-mode outputs as they are.

    batches: (N, 3, H, W) in -1..1, real pictures, at least one. For each channel's mean m and
    variance v before the batch norm: running_mean = m, running_var = v, gamma = sqrt(v + eps),
    beta += m. Only then does training mode, which normalises by the batch, compute nearly what
    eval mode does. Leaves the model in eval mode.
    """
    folded = [m for m in model.modules() if isinstance(m, ConvBN) and _is_folded(m)]
    layers: dict[nn.Module, ConvBN] = {layer.conv: layer for layer in folded}
    sums = {conv: torch.zeros(3, len(layer.conv.weight)).double() for conv, layer in layers.items()}

    def record(conv: nn.Module, _: object, output: Tensor) -> None:
        x = output.double().transpose(0, 1).flatten(1)  # (C, N * H * W)
        count = torch.full((len(x),), x.shape[1])
        sums[conv] += torch.stack([x.sum(1), x.square().sum(1), count])

    model.eval()  # in training mode the statistics would depend on the order of the pictures
    hooks = [conv.register_forward_hook(record) for conv in layers]
    try:
        for batch in batches:
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for conv, (total, squares, count) in sums.items():
        if not count.all():
            raise DetectorError("unfolding batch norms: no pictures; expected about 300 real ones")
        mean = total / count
        var = (squares / count - mean.square()).clamp(min=0)
        bias = layers[conv].bn.bias
        assert isinstance(bias, Tensor)
        _set_bn(layers[conv], bias.data + mean.float(), mean.float(), var.float())


def _is_folded(layer: ConvBN) -> bool:
    """Whether the layer's batch norm is as `_set_folded` leaves it."""
    mean = layer.bn.running_mean
    return isinstance(mean, Tensor) and not mean.any()


def _set_folded(layer: ConvBN, bias: Tensor) -> None:
    """No batch norm but its bias: mean 0, and a variance that eval mode divides by 1."""
    _set_bn(layer, bias, torch.zeros_like(bias), torch.full_like(bias, 1 - BN_EPS))


def _set_bn(layer: ConvBN, beta: Tensor, mean: Tensor, var: Tensor) -> None:
    """Statistics `mean` and `var` with the gamma that makes the layer y = x - mean + beta."""
    bn = layer.bn
    assert isinstance(bn, nn.BatchNorm2d)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    bn.running_mean.copy_(mean)
    bn.running_var.copy_(var)
    bn.weight.data = torch.sqrt(var + BN_EPS)
    bn.bias.data = beta.clone()
