"""Convolutions of maps smaller than their kernel: the fast implementation gives the gradients of torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.graph.builder import lower
from donna_hw.graph.torch_module import Convolution, to_torch
from donna_hw.spaces.cells import ConvNormAct


def small(kernel: int, stride: int, groups: int) -> Convolution:
    layer = Convolution(6, 6, kernel, stride, kernel // 2, groups=groups, bias=False)
    layer.small = True
    return layer


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 4),  # height and width
    st.sampled_from([(3, 1), (5, 1), (5, 2), (7, 1), (7, 2)]),  # kernel and stride
    st.sampled_from([1, 2, 6]),  # groups of 6 channels
)
def test_outputs_and_gradients_equal_those_of_torch(size: int, shape: tuple[int, int], groups: int) -> None:
    kernel, stride = shape
    layer = small(kernel, stride, groups).double()
    x = torch.randn(3, 6, size, size, dtype=torch.double, requires_grad=True)
    layer.small = False
    expected = layer(x)
    wanted = torch.autograd.grad(expected.square().sum(), [x, layer.weight])
    layer.small = True
    found = layer(x)
    assert "SmallMap" in type(found.grad_fn).__name__
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found.square().sum(), [x, layer.weight]), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_the_short_way_is_taken_only_where_the_map_is_small_and_the_layer_is_in_training() -> None:
    def way(size: int, *, training: bool = True) -> str:
        module = to_torch(lower(ConvNormAct(6, kernel=5, activation="relu"), (6, size, size))).train(training)
        layer = next(layer for layer in module.modules() if isinstance(layer, Convolution))
        return type(layer(torch.randn(2, 6, size, size)).grad_fn).__name__

    assert "SmallMap" in way(4)
    assert "SmallMap" not in way(5)
    assert "SmallMap" not in way(4, training=False)


@pytest.mark.parametrize("frozen", [0, 1])
def test_what_needs_no_gradient_gets_none(frozen: int) -> None:
    layer = small(5, 1, 6)
    x = torch.randn(2, 6, 3, 3, requires_grad=True)
    tensors = [x, layer.weight]
    tensors[frozen].requires_grad_(False)
    layer(x).sum().backward()
    assert tensors[frozen].grad is None
    assert tensors[1 - frozen].grad is not None
