"""A space with new kinds of cells beside its own: what was trained, measured and fitted for the old blocks stays valid."""

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
    """A stage's cell that draws one value of its axis `cell` by `new`, and all others as before."""

    old: Callable[..., Block]
    value: str
    new: Callable[..., Block]

    def __call__(self, cell: str, **settings: Any) -> Block:
        """Return the block of a choice."""
        return self.new(**settings) if cell == self.value else self.old(cell=cell, **settings)


def add_cell(space: Space, value: str, new: Callable[..., Block], *, name: str) -> Space:
    """Return the space with one more value on the axis `cell` of every stage; the reference stays what it was.

    new: a class of cells, which gets what the stage gives its own cells (channels, stride) and the choice on the other axes. The value is
    appended, so that the labels, rows of tables and weights of old blocks are theirs in the new space too. Raises `UnknownNameError` for a
    stage without that axis, `ConfigError` for a value that it has.
    """
    return replace(
        space,
        name=name,
        title=f"{space.title}; {value} cells beside the others",
        load_name="",
        stages=tuple(_add_value(stage, value, new) for stage in space.stages),
    )


def find_new_blocks(old: Space, space: Space) -> tuple[tuple[bool, ...], ...]:
    """Return which blocks of a space another one lacks, bool [stage][block].

    Raises `ConfigError` unless the space has every block of the other under the same label, with the same layers, in the same frame.
    """
    if old.hash != space.hash:
        raise ConfigError(
            f"{space.name} must have the frame of {old.name}: its input, fixed parts, stages and axes",
            got=f"{space.hash}, not {old.hash}",
        )
    found = []
    for stage, before in zip(space.stages, old.stages, strict=True):
        for number, label in enumerate(before.labels):
            if label not in stage.labels:
                raise UnknownNameError(
                    f"{space.name}: {stage.name} must have every block of {old.name}", got=label, choices=stage.labels
                )
            again = space.block_graph(stage, stage.number_of_label(label))
            if layers_hash(again) != layers_hash(old.block_graph(before, number)):
                rule = f"{space.name}: {stage.name} {label} must have the layers that it has in {old.name}"
                raise ConfigError(rule, got="others")
        found.append(tuple(label not in before.labels for label in stage.labels))
    return tuple(found)


def _add_value(stage: Stage, value: str, new: Callable[..., Block]) -> Stage:
    axes: Mapping[str, Axis] = {axis.name: axis for axis in stage.axes}
    if CELL_AXIS not in axes or not isinstance(stage.cell, partial):
        raise UnknownNameError(f"{stage.name} must have an axis to add a value to", got=CELL_AXIS, choices=list(axes))
    axis = axes[CELL_AXIS]
    if value in axis.values:
        raise ConfigError(f"{stage.name}: the axis {CELL_AXIS} has that value already", got=value)
    grown = replace(axis, values=(*axis.values, value), reference=axis.reference_value)
    cell = CellSwitch(stage.cell, value, partial(new, *stage.cell.args, **stage.cell.keywords))
    return replace(stage, axes=tuple(grown if one is axis else one for one in stage.axes), cell=cell)
