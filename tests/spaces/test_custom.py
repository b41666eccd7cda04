"""A user's space: a cell with `draw`, a Space around it, and axes that grow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
from fakes import tiny_space

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import layers_hash
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import Architecture, Axis, Space, Stage
from donna_hw.spaces.cells import Classifier


@dataclass(frozen=True)
class PlainConvs:
    """Ten lines of a user: `depth` plain convolutions."""

    channels: int
    kernel: int
    depth: int

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        for number in range(self.depth):
            x = builder.conv(x, self.channels, kernel=self.kernel, activation="relu", name=f"conv{number}")
        return x


def own_space() -> Space:
    axes = (Axis("kernel", (1, 3, 5)), Axis("depth", (1, 2)))
    stages = tuple(Stage(f"s{n}", axes, partial(PlainConvs, channels)) for n, channels in enumerate((4, 8)))
    return Space("own", "plain convolutions", (3, 6, 6), (), stages, (("head", Classifier(5)),))


def test_a_custom_space_counts_draws_and_runs() -> None:
    import torch

    space = own_space()
    assert space.size == (3 * 2) ** 2
    network = space.network_graph(space.reference)
    assert network.output_shape == (5,)
    assert network.macs == 36 * 25 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8) + 8 * 5
    assert to_torch(network).eval()(torch.zeros(2, 3, 6, 6)).shape == (2, 5)
    assert space.labels(space.reference) == {"s0": "k5-d2", "s1": "k5-d2"}


@dataclass(frozen=True)
class Growing:
    """A wrong cell: its output's channels depend on the choice."""

    channels: int

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        return builder.conv(x, self.channels, name="conv")


def test_a_block_that_changes_the_shape_between_stages_is_refused() -> None:
    stage = Stage("s", (Axis("channels", (4, 8)),), Growing)
    space = Space("wrong", "", (3, 4, 4), (), (stage,), ())
    with pytest.raises(ConfigError, match=r"s c4: the output must have the shape \(8, 4, 4\)"):
        space.block_graph(stage, 0)


def test_growing_an_axis_keeps_the_spaces_hash_and_old_blocks_layers() -> None:
    old, new = tiny_space((1, 3)), tiny_space((1, 3, 5))
    assert new.size == old.size * 9 // 4
    assert new.hash == old.hash
    for before, after in zip(old.stages, new.stages, strict=True):
        for m in range(before.size):
            same = after.number(before.choice(m))
            assert layers_hash(old.block_graph(before, m)) == layers_hash(new.block_graph(after, same))


def test_the_hash_changes_with_input_fixed_parts_and_axes_but_not_with_the_name() -> None:
    space = tiny_space()
    frame = (space.name, "", space.input_shape, space.before, space.stages, space.after)
    other_axis = tuple(Stage(s.name, (*s.axes, Axis("new", (1,), settings={1: {}})), s.cell) for s in space.stages)
    assert Space(*frame).hash == tiny_space(name="renamed").hash == space.hash
    changed = [
        Space(*frame[:2], (1, 8, 8), *frame[3:]),
        Space(*frame[:5], (("head", Classifier(3)),)),
        Space(*frame[:4], other_axis, frame[5]),
        Space(*frame[:4], space.stages[:1], frame[5]),
        Space(*frame, (Axis("resolution", (4,)),)),
    ]
    hashes = [other.hash for other in changed]
    assert len({space.hash, *hashes}) == len(changed) + 1


def test_global_axes_multiply_the_size_and_are_checked() -> None:
    space = tiny_space()
    wide = Space("g", "", space.input_shape, space.before, space.stages, space.after, (Axis("resolution", (4, 8)),))
    assert wide.size == 2 * space.size
    assert wide.reference.settings == (8,)
    with pytest.raises(ConfigError, match="1 global settings"):
        wide.validate(Architecture(space.reference.blocks))


def test_parts_of_one_name_are_refused() -> None:
    stage = tiny_space().stages[0]
    with pytest.raises(ConfigError, match="different names"):
        Space("duplicates", "", (3, 4, 4), (), (stage, stage), ())


def test_blocks_of_one_label_are_refused() -> None:
    stage = Stage("s", (Axis("a", ("x", "x-y")), Axis("b", ("y-z", "z"))), Growing)
    with pytest.raises(ConfigError, match="x-y-z"):
        _ = stage.labels
