"""Shift cells added to a space."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw import InvertedResidual, load_space
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import lower
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.torch_module import to_torch
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.spaces.extend import add_cell, find_new_blocks
from donna_hw.spaces.zoo.shift import Shift, ShiftBottleneck


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 60),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
)
def test_every_channel_is_moved_by_one_displacement(
    channels: int, height: int, width: int, kernel: int, stride: int
) -> None:
    """Brute force: a convolution of each channel by a kernel with a single one in it."""
    x = torch.randn(2, channels, height, width)
    weight = torch.zeros(channels, 1, kernel, kernel)
    for channel in range(channels):
        weight[channel, 0].view(-1)[channel * kernel**2 // channels] = 1
    expected = torch.nn.functional.conv2d(x, weight, None, stride, kernel // 2, groups=channels)
    torch.testing.assert_close(Shift(channels, kernel, stride)(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_onnx_runtime_shifts_as_torch_does(kernel: int, stride: int) -> None:
    graph = lower(ShiftBottleneck(8, stride, kernel, expand=2), (8, 7, 6))
    module = to_torch(graph, seed=0).eval()
    model = to_onnx(graph, 2, {key: value.numpy() for key, value in module.state_dict().items()})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 8, 7, 6)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"input": x.numpy()})[0], module(x).numpy(), atol=1e-5)


def test_the_simulator_moves_a_shift_and_multiplies_nothing_for_it() -> None:
    with_shift = workload_from_graph(lower(ShiftBottleneck(8, 1, 3, expand=2), (8, 7, 6)))
    kinds = [node.op_type for node in with_shift.nodes]
    assert kinds.count("Conv") == 2
    assert "Concat" in kinds


def test_a_shift_costs_neither_operations_nor_parameters() -> None:
    shift, conv = (lower(kind(8, 1, 5, expand=2), (8, 7, 6)) for kind in (ShiftBottleneck, InvertedResidual))
    assert shift.macs == conv.macs - 7 * 6 * 16 * 25
    assert shift.params == conv.params - 16 * 25 - 2 * 16


def test_the_old_blocks_are_those_of_the_old_space() -> None:
    old, space = load_space("small_8px_cells"), load_space("small_8px_shift")
    assert space.hash == old.hash
    assert space.labels(space.reference) == old.labels(old.reference)
    new = find_new_blocks(old, space)
    assert [sum(stage) for stage in new] == [24] * 4
    for stage, which in zip(space.stages, new, strict=True):
        assert all(("shift" in label) == is_new for label, is_new in zip(stage.labels, which, strict=True))


def test_a_space_that_extends_no_other_is_refused() -> None:
    space = load_space("small_8px_cells")
    with pytest.raises(ConfigError, match="must have the same input, fixed parts, stages and axes as small_8px_cells"):
        find_new_blocks(space, load_space("small_8px"))
    with pytest.raises(UnknownNameError, match="lacks small_8px_shift's block"):
        find_new_blocks(load_space("small_8px_shift"), space)
    with pytest.raises(ConfigError, match="already has the value"):
        add_cell(space, "grouped", ShiftBottleneck, name="x")
    with pytest.raises(UnknownNameError, match="has no axis 'cell'"):
        add_cell(load_space("small_8px"), "shift", ShiftBottleneck, name="x")
    with pytest.raises(ConfigError, match="must have the same layers as in"):
        find_new_blocks(space, changed())


def changed():  # type: ignore[no-untyped-def]
    """Return the digits' four stages with stages of another group size, and so with other layers under the old labels."""
    from dataclasses import replace
    from functools import partial

    space = load_space("small_8px_cells")
    stages = tuple(
        replace(stage, cell=partial(InvertedResidual, *stage.cell.args, **stage.cell.keywords, group_size=4))  # type: ignore[attr-defined]
        for stage in space.stages
    )
    return replace(space, stages=stages)
