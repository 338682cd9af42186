"""ReLU6 and its gradient against torch's, and how much it keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detector.model.relu6 import ReLU6


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_torchs(dtype: torch.dtype, training: bool) -> None:
    x = torch.linspace(-3, 9, 97).to(dtype).requires_grad_()
    mine, theirs = ReLU6().train(training), nn.ReLU6()
    results = [layer(x * 1) for layer in (mine, theirs)]
    assert torch.equal(*results)
    weights = torch.linspace(-2, 3, 97).to(dtype)
    grads = [torch.autograd.grad((y * weights).sum(), x)[0] for y in results]
    assert torch.equal(*grads)


def test_it_keeps_its_result_alone() -> None:
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    x = torch.randn(10, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = ReLU6()(x * 1)
    assert kept == {y.data_ptr(): y.nbytes}


def test_it_writes_over_nothing_that_is_not_its_own() -> None:
    leaf, plain = torch.randn(9, requires_grad=True), torch.randn(9)
    for x in (leaf, plain):
        before = x.detach().clone()
        ReLU6()(x)
        assert torch.equal(x, before)
    with torch.no_grad():
        ReLU6()(leaf)
    assert not torch.equal(ReLU6()(leaf), leaf)


def test_a_layer_that_needs_what_was_written_over_says_so() -> None:
    x = torch.randn(9, requires_grad=True)
    squared = x * 1
    y = squared * squared
    ReLU6()(squared)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
