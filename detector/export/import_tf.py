"""Read TensorFlow's `ssdlite_mobilenet_v2_coco` from a TensorFlow.js graph folder.

Every weight is checked by name and shape, and every one must be used. The graph's batch norms are
folded into its convolutions; they are unfolded on real pictures, so that the network can be trained
on through them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from detector.classes import COCO_CATEGORY_IDS
from detector.errors import DetectorError
from detector.model.layers import BN_EPS, ConvBN
from detector.model.ssdlite import Predictor, SSDLite, ssdlite_mobilenet_v2

Arrays = dict[str, npt.NDArray[np.generic]]
TF_CLASSES = 91  # column 0 is background, then COCO's ids 1..90 with ten never used
_DTYPES = {"float32": "<f4", "int32": "<i4"}


def read_tfjs(folder: Path) -> Arrays:
    """All weights of a TensorFlow.js graph folder (`model.json` and its shards), by name.

    Raises DetectorError for a missing or short shard and for an unknown data type.
    """
    manifest_path = folder / "model.json"
    try:
        groups = json.loads(manifest_path.read_text())["weightsManifest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(
            f"{manifest_path}: not a TensorFlow.js graph ({error}); expected the folder that holds "
            "model.json with a weightsManifest"
        ) from error
    arrays: Arrays = {}
    for group in groups:
        try:
            data = b"".join((folder / name).read_bytes() for name in group["paths"])
        except OSError as error:
            raise DetectorError(
                f"{folder}: a weight shard cannot be read ({error}); expected {group['paths']}"
            ) from error
        start = 0
        for weight in group["weights"]:
            name, shape, kind = weight["name"], weight["shape"], weight["dtype"]
            if kind not in _DTYPES or "quantization" in weight:
                raise DetectorError(f"{manifest_path}: {name} is {kind}; expected plain float32 or int32")
            count = int(np.prod(shape))
            if start + 4 * count > len(data):
                raise DetectorError(f"{folder}: the shards end inside {name}; fetch them again")
            arrays[name] = np.frombuffer(data, _DTYPES[kind], count, start).reshape(shape)
            start += 4 * count
        if start != len(data):
            raise DetectorError(f"{folder}: {len(data) - start} bytes follow the last weight; expected none")
    return arrays


class _Reader:
    """Hands out weights in PyTorch's layout, checks shapes, and remembers what was used."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.unused = set(arrays)

    def get(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.arrays:
            raise DetectorError(f"tfjs graph: weight {name} is missing; expected shape {shape}")
        array = self.arrays[name]
        if array.shape != shape:
            raise DetectorError(f"tfjs graph: {name} has shape {array.shape}, expected {shape}")
        self.unused.discard(name)
        return torch.from_numpy(array.astype(np.float32))

    def conv(self, name: str, conv: nn.Conv2d) -> None:
        o, i, h, w = conv.weight.shape
        conv.weight.data = self.get(name, (h, w, i, o)).permute(3, 2, 0, 1).contiguous()

    def depthwise(self, name: str, conv: nn.Conv2d) -> None:
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
        """A predictor; `keep` are the value columns of each anchor.

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
        head.predict.weight.data = weight.reshape(per_cell, tf_values, c)[:, keep].reshape(-1, c, 1, 1)
        assert head.predict.bias is not None
        head.predict.bias.data = bias.reshape(per_cell, tf_values)[:, keep].reshape(-1)


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


def convert(arrays: Arrays) -> SSDLite:
    """The 80-class network in eval mode, batch norms still folded.

    Raises DetectorError when a weight is missing, has another shape, or is left over.
    """
    model = ssdlite_mobilenet_v2(len(COCO_CATEGORY_IDS)).eval()
    reader = _Reader(arrays)
    root = "FeatureExtractor/MobilenetV2"
    reader.folded(f"{root}/Conv", model.backbone.stem)
    for i, block in enumerate(model.backbone.blocks):
        scope = f"{root}/expanded_conv_{i}" if i else f"{root}/expanded_conv"
        for part in ("expand", "depthwise", "project"):
            layer = getattr(block, part)
            if isinstance(layer, ConvBN):
                reader.folded(f"{scope}/{part}", layer)
    reader.folded(f"{root}/Conv_1", model.backbone.last)
    for i, extra in enumerate(model.extras, start=2):
        wide, narrow = extra.expand.conv.out_channels, extra.squeeze.conv.out_channels
        second = f"{root}/layer_19_2_Conv2d_{i}_3x3_s2_{wide}"
        reader.folded(f"{root}/layer_19_1_Conv2d_{i}_1x1_{narrow}", extra.squeeze)
        reader.folded(f"{second}_depthwise", extra.depthwise)
        reader.folded(second, extra.expand)
    for i, (classes, boxes) in enumerate(zip(model.class_heads, model.box_heads, strict=True)):
        reader.predictor(f"BoxPredictor_{i}/ClassPredictor", classes, TF_CLASSES, list(COCO_CATEGORY_IDS))
        # TensorFlow writes ty, tx, th, tw; we write tx, ty, tw, th.
        reader.predictor(f"BoxPredictor_{i}/BoxEncodingPredictor", boxes, 4, [1, 0, 3, 2])
    left = sorted(n for n in reader.unused if n.startswith(("FeatureExtractor/", "BoxPredictor_")) and "/stack" not in n)
    if left:
        raise DetectorError(f"tfjs graph: {len(left)} weights have no place in the network: {', '.join(left[:5])}")
    return model


@torch.no_grad()
def unfold_batch_norms(model: SSDLite, batches: Iterable[Tensor]) -> None:
    """Give folded batch norms real statistics, in place, leaving eval-mode outputs as they are.

    batches: (N, 3, H, W) in -1..1, real pictures. For each channel's mean m and variance v before
    the batch norm: running_mean = m, running_var = v, gamma = sqrt(v + eps), beta += m. Only then
    does training mode, which normalises by the batch, compute nearly what eval mode does.
    """
    layers = [m for m in model.modules() if isinstance(m, ConvBN) and _is_folded(m)]
    sums = {layer: torch.zeros(3, layer.conv.out_channels, dtype=torch.float64) for layer in layers}

    def record(conv: nn.Module, _: object, output: Tensor) -> None:
        x = output.double()
        sums[owner[conv]] += torch.stack(
            [x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), torch.full((x.shape[1],), x[:, 0].numel())]
        )

    owner: dict[nn.Module, ConvBN] = {layer.conv: layer for layer in layers}
    hooks = [conv.register_forward_hook(record) for conv in owner]
    for batch in batches:
        model(batch)
    for hook in hooks:
        hook.remove()
    for layer, (total, squares, count) in sums.items():
        mean = total / count
        var = (squares / count - mean.square()).clamp(min=0)
        beta = layer.bn.bias
        assert isinstance(beta, Tensor)
        _set_bn(layer, beta.data + mean.float(), mean.float(), var.float())


def _is_folded(layer: ConvBN) -> bool:
    mean = layer.bn.running_mean
    return isinstance(mean, Tensor) and not mean.any()
