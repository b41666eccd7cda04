"""Spaces with 8-bit blocks: `@precision` searches float32 or INT8 for every stage, `@int8` makes the whole network INT8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from donna_hw.errors import UnknownNameError
from donna_hw.graph.builder import Block, GraphBuilder
from donna_hw.graph.graph import graph_dtypes
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.spaces.stage import Axis, Stage

PRECISION_AXIS = Axis("precision", ("float32", "int8"), reference="float32", default_label="float32")


@dataclass(frozen=True)
class Int8Block:
    """A block whose layers are all of type int8."""

    block: Block

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the block's layers."""
        with builder.use_dtype("int8"):
            return self.block.add_layers(builder, x)

    def sections(self) -> tuple[Block, ...]:
        """Return the sections of the block in 8 bits; the whole block if it has none."""
        return tuple(Int8Block(section) for section in getattr(self.block, "sections", lambda: (self.block,))())


@dataclass(frozen=True)
class PrecisionSwitch:
    """A stage's cell whose blocks have the type of the axis `precision`."""

    cell: Callable[..., Block]

    def __call__(self, precision: str, **settings: Any) -> Block:
        """Return the block of a choice."""
        block = self.cell(**settings)
        return Int8Block(block) if precision == "int8" else block


@dataclass(frozen=True)
class Int8Cell:
    """A stage's cell whose blocks are all of type int8."""

    cell: Callable[..., Block]

    def __call__(self, **settings: Any) -> Block:
        """Return the block of a choice."""
        return Int8Block(self.cell(**settings))


def add_precision_axis(space: Space) -> Space:
    """Return the space with an additional axis in every stage: float32, as the reference, or int8; fixed parts stay float32.

    The labels of float32 blocks do not change, so that their weights and rows of tables stay valid.
    """
    stages = tuple(
        replace(stage, axes=(*stage.axes, PRECISION_AXIS), cell=PrecisionSwitch(stage.cell)) for stage in space.stages
    )
    return replace(
        space, name=f"{space.name}@precision", title=f"{space.title}; each in float32 or INT8", stages=stages
    )


def to_int8(space: Space) -> Space:
    """Return the space whose networks are INT8 from the first layer to the last, fixed parts included; the labels do not change."""
    before, after = (tuple((name, Int8Block(block)) for name, block in parts) for parts in (space.before, space.after))
    stages = tuple(replace(stage, cell=Int8Cell(stage.cell)) for stage in space.stages)
    return replace(
        space, name=f"{space.name}@int8", title=f"{space.title}; INT8", before=before, after=after, stages=stages
    )


def is_int8(space: Space, architecture: Architecture) -> bool:
    """Whether any block of a network is of type int8."""
    return any(
        "int8" in graph_dtypes(space.block_graph(stage, number))
        for stage, number in zip(space.stages, architecture.blocks, strict=True)
    )


def float_counterparts(space: Space, rows: Rows) -> Rows:
    """Return the networks with every block in float32, int [n, stages], in a space with the axis `precision`."""
    return _set_precision(space, rows, "float32")


def int8_counterparts(space: Space, rows: Rows) -> Rows:
    """Return the networks with every block in INT8, int [n, stages], in a space with the axis `precision`."""
    return _set_precision(space, rows, "int8")


def float_block_number(stage: Stage, number: int) -> int:
    """Return the number of the same block in float32; raises `UnknownNameError` for a stage without the axis `precision`."""
    if PRECISION_AXIS.name not in (axis.name for axis in stage.axes):
        raise UnknownNameError(
            f"{stage.name} has no axis",
            got=PRECISION_AXIS.name,
            choices=[axis.name for axis in stage.axes],
            hint="8-bit blocks are made from float32 ones, and SPACE@precision has both",
        )
    return stage.number(stage.choice(number) | {PRECISION_AXIS.name: "float32"})


def _set_precision(space: Space, rows: Rows, value: str) -> Rows:
    columns = []
    for stage, column in zip(space.stages, rows.T, strict=False):
        counterparts = [stage.number(stage.choice(m) | {PRECISION_AXIS.name: value}) for m in range(stage.size)]
        columns.append(np.array(counterparts)[column])
    return np.stack(columns, axis=1)
