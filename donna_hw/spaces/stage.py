"""Stage: one searched position of a network, as a product of axes, and the block of each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block

Value = int | float | str


@dataclass(frozen=True)
class Axis:
    """One searched property of a block.

    Args:
        name: The axis's name, which is also a keyword of the cell.
        values: In the order of their numbers. Append new ones, so that old tables stay valid.
        reference: The value of the reference network; the last one if None.
        settings: The keywords of the cell for a value, where they are other than {name: value}.
        default_label: A value that is omitted from labels, so that blocks have the same labels as before the axis was added.

    Raises:
        ConfigError: If there are no values, or a value is repeated.
        UnknownNameError: If the reference is none of the values.
    """

    name: str
    values: tuple[Value, ...]
    reference: Value | None = None
    settings: Mapping[Value, Mapping[str, Value]] = field(default_factory=dict)
    default_label: Value | None = None

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ConfigError(f"axis {self.name} must have one or more different values", got=str(self.values))
        if self.reference is not None and self.reference not in self.values:
            raise UnknownNameError(
                f"axis {self.name}: unknown reference value",
                got=str(self.reference),
                choices=[str(value) for value in self.values],
            )

    @property
    def reference_value(self) -> Value:
        """The value of the reference network."""
        return self.values[-1] if self.reference is None else self.reference

    def with_reference(self, reference: Value) -> Axis:
        """Return the axis with another reference value."""
        return replace(self, reference=reference)

    def cell_settings(self, value: Value) -> Mapping[str, Value]:
        """Return the cell's keywords for a value."""
        return self.settings.get(value, {self.name: value})

    def label(self, value: Value) -> str:
        """Return the label of a value: `k3` for a kernel of 3, a text as it is, nothing for `default_label`."""
        if value == self.default_label:
            return ""
        return value if isinstance(value, str) else f"{self.name[0]}{value}"


@dataclass(frozen=True)
class Stage:
    """One searched position of a network. Block numbers count through its axes, the last one varying fastest.

    Args:
        name: The stage's name, unique in the space.
        axes: The searched properties.
        cell: Turns a choice, with a keyword for each axis, into a block.
    """

    name: str
    axes: tuple[Axis, ...]
    cell: Callable[..., Block]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of candidate blocks."""
        return prod(self.counts)

    def choice(self, number: int) -> dict[str, Value]:
        """Return {axis: value} of a block number; raises `ConfigError` for a number out of range."""
        if not 0 <= number < self.size:
            raise ConfigError(f"{self.name}: a block number must be in 0..{self.size - 1}", got=number)
        indices = np.unravel_index(number, self.counts)
        return {axis.name: axis.values[int(index)] for axis, index in zip(self.axes, indices, strict=True)}

    def number(self, choice: Mapping[str, Value]) -> int:
        """Return the block number of {axis: value}; raises `UnknownNameError`."""
        indices = []
        for axis in self.axes:
            value = choice.get(axis.name)
            if value not in axis.values:
                raise UnknownNameError(
                    f"{self.name}: unknown value of axis {axis.name}",
                    got=str(value),
                    choices=[str(choice) for choice in axis.values],
                )
            indices.append(axis.values.index(value))
        return int(np.ravel_multi_index(indices, self.counts))

    @property
    def reference(self) -> int:
        """Number of the reference network's block."""
        return self.number({axis.name: axis.reference_value for axis in self.axes})

    def block(self, number: int) -> Block:
        """Return the block of a number."""
        keywords: dict[str, Value] = {}
        for axis, value in zip(self.axes, self.choice(number).values(), strict=True):
            keywords.update(axis.cell_settings(value))
        return self.cell(**keywords)

    def label(self, number: int) -> str:
        """Return a block's label, such as `k3-e4-d2-relu`."""
        return self.labels[number]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The label of every block, by number."""
        labels = tuple(
            "-".join(
                filter(
                    None, (axis.label(value) for axis, value in zip(self.axes, self.choice(m).values(), strict=True))
                )
            )
            for m in range(self.size)
        )
        if len(set(labels)) < len(labels):
            duplicate = next(label for label in labels if labels.count(label) > 1)
            raise ConfigError(
                f"{self.name}: the labels of blocks must be different",
                got=duplicate,
                hint="rename the values of an axis",
            )
        return labels

    def number_of_label(self, label: str) -> int:
        """Return the block number of a label; raises `UnknownNameError`."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise UnknownNameError(f"{self.name}: unknown label", got=label, choices=self.labels) from None
