"""A space with new kinds of cells added: what was trained, measured and fitted for the old blocks stays valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block
from donna_hw.graph.graph import layers_hash
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage

CELL_AXIS = "cell"


@dataclass(frozen=True)
class CellSwitch:
    """A stage's cell that builds the blocks of one value of its axis `cell` with `new`, and all others as before."""

    old: Callable[..., Block]
    value: str
    new: Callable[..., Block]

    def __call__(self, cell: str, **settings: Any) -> Block:
        """Return the block of a choice."""
        return self.new(**settings) if cell == self.value else self.old(cell=cell, **settings)


def add_cell(space: Space, value: str, new: Callable[..., Block], *, name: str) -> Space:
    """Return the space with one more value on the axis `cell` of every stage.

    The value is appended and the reference stays the same, so that labels, rows of tables and weights of old blocks stay valid.

    Args:
        space: The space to extend.
        value: The new value of the axis.
        new: A class of cells. It gets what the stage passes to its old cells (channels, stride) and the choice on the other axes.
        name: The name of the new space.

    Returns:
        The new space.

    Raises:
        UnknownNameError: If a stage has no axis `cell`.
        ConfigError: If the axis has the value already.
    """
    return replace(
        space,
        name=name,
        title=f"{space.title}; {value} cells added",
        load_name="",
        stages=tuple(_add_value(stage, value, new) for stage in space.stages),
    )


def find_new_blocks(old: Space, space: Space) -> tuple[tuple[bool, ...], ...]:
    """Return which blocks of `space` are missing in `old`, bool [stage][block].

    Raises `ConfigError` or `UnknownNameError` unless `space` has every block of `old` under the same label, with the same layers, in the
    same frame.
    """
    if old.hash != space.hash:
        raise ConfigError(
            f"{space.name} must have the same input, fixed parts, stages and axes as {old.name}",
            got=f"hash {space.hash}, not {old.hash}",
        )
    is_new = []
    for stage, before in zip(space.stages, old.stages, strict=True):
        for number, label in enumerate(before.labels):
            if label not in stage.labels:
                raise UnknownNameError(
                    f"{stage.name} of {space.name} lacks {old.name}'s block", got=label, choices=stage.labels
                )
            graph = space.block_graph(stage, stage.number_of_label(label))
            if layers_hash(graph) != layers_hash(old.block_graph(before, number)):
                message = f"{space.name}: {stage.name} {label} must have the same layers as in {old.name}"
                raise ConfigError(message, got="other layers")
        is_new.append(tuple(label not in before.labels for label in stage.labels))
    return tuple(is_new)


def _add_value(stage: Stage, value: str, new: Callable[..., Block]) -> Stage:
    axes: Mapping[str, Axis] = {axis.name: axis for axis in stage.axes}
    if CELL_AXIS not in axes or not isinstance(stage.cell, partial):
        raise UnknownNameError(f"{stage.name} has no axis", got=CELL_AXIS, choices=list(axes))
    axis = axes[CELL_AXIS]
    if value in axis.values:
        raise ConfigError(f"{stage.name}: the axis {CELL_AXIS} already has the value", got=value)
    extended = replace(axis, values=(*axis.values, value), reference=axis.reference_value)
    cell = CellSwitch(stage.cell, value, partial(new, *stage.cell.args, **stage.cell.keywords))
    return replace(stage, axes=tuple(extended if other is axis else other for other in stage.axes), cell=cell)
