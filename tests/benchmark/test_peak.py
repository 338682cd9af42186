"""The limit is measured with arithmetic of the precision it is named after."""

import numpy as np
import pytest

from detector.benchmark.peak import LAYERS, compile_stack, shortest, stack
from detector.cpu import has_int8_dot


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_the_stack_computes_in_its_precision(precision: str) -> None:
    if precision == "int8" and not has_int8_dot():
        pytest.skip("this CPU has no int8 products, and OpenVINO may use floats")
    compiled = compile_stack(32, 8, precision, 1)
    told = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    kinds = [
        str(one["runtimePrecision"].astype(str))
        for one in told
        if one["layerType"].astype(str) == "Convolution"
    ]
    assert len(kinds) == LAYERS
    assert set(kinds) <= ({"f32"} if precision == "float" else {"u8", "i8"})


def test_the_stack_neither_dies_out_nor_blows_up() -> None:
    compiled = compile_stack(64, 4, "float", 1)
    batch = np.random.default_rng(0).random((1, 64, 4, 4), dtype=np.float32)
    (out,) = compiled([batch]).values()
    assert out.shape == (1, 64, 4, 4)
    assert 1e-3 < out.mean() < 1e3


def test_its_work_is_what_is_counted() -> None:
    shapes = [
        (op.output(0).get_shape(), op.input(1).get_shape())
        for op in stack(16, 4, "int8").get_ops()
        if op.get_type_name() == "Convolution"
    ]
    assert [(list(out), list(kernel)) for out, kernel in shapes] == (
        [([1, 16, 4, 4], [16, 16, 1, 1])] * LAYERS
    )


def test_the_quickest_call_counts_and_the_first_does_not() -> None:
    now = [0.0]
    lengths = iter([0.1, 4.0, 2.0, 3.0, 9.0])

    def call() -> None:
        now[0] += next(lengths)

    assert shortest(call, 8.0, lambda: now[0]) == 2.0
    assert next(lengths) == 9.0
