"""Stage: one searched position of a network, a product of axes, and the block of each choice."""

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

    values: labels in the order of their numbers; append new ones, so that old tables stay valid.
    reference: the value of the reference network; the last one if none is named.
    settings: what a label sets in the cell, where it is more than {name: label}.
    unsaid: a value that labels leave out, so that blocks have the labels that they had before the space had the axis.
    """

    name: str
    values: tuple[Value, ...]
    reference: Value | None = None
    settings: Mapping[Value, Mapping[str, Value]] = field(default_factory=dict)
    default_label: Value | None = None

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ConfigError(f"axis {self.name}: its values must be one or more, each once", got=str(self.values))
        if self.reference is not None and self.reference not in self.values:
            raise UnknownNameError(
                f"axis {self.name}: the reference must be one of its values",
                got=str(self.reference),
                choices=[str(value) for value in self.values],
            )

    @property
    def reference_value(self) -> Value:
        """The value that the reference network has."""
        return self.values[-1] if self.reference is None else self.reference

    def with_reference(self, reference: Value) -> Axis:
        """Return the axis with another value as the reference's."""
        return replace(self, reference=reference)

    def cell_settings(self, value: Value) -> Mapping[str, Value]:
        """Return the cell's keywords for a value."""
        return self.settings.get(value, {self.name: value})

    def label(self, value: Value) -> str:
        """Return the value for people: `k3` for a kernel of 3, a word as it is, nothing for what goes unsaid."""
        if value == self.default_label:
            return ""
        return value if isinstance(value, str) else f"{self.name[0]}{value}"


@dataclass(frozen=True)
class Stage:
    """One searched position: its axes, and the cell that turns a choice into a block.

    A block's number counts through the axes, the last one fastest.
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
        """Return {axis: value} of a block number."""
        if not 0 <= number < self.size:
            raise ConfigError(f"{self.name}: a block number must lie in 0..{self.size - 1}", got=number)
        places = np.unravel_index(number, self.counts)
        return {axis.name: axis.values[int(place)] for axis, place in zip(self.axes, places, strict=True)}

    def number(self, choice: Mapping[str, Value]) -> int:
        """Return the block number of {axis: value}."""
        places = []
        for axis in self.axes:
            value = choice.get(axis.name)
            if value not in axis.values:
                raise UnknownNameError(
                    f"{self.name}: axis {axis.name} must have one of its values",
                    got=str(value),
                    choices=[str(known) for known in axis.values],
                )
            places.append(axis.values.index(value))
        return int(np.ravel_multi_index(places, self.counts))

    @property
    def reference(self) -> int:
        """Number of the reference's block."""
        return self.number({axis.name: axis.reference_value for axis in self.axes})

    def block(self, number: int) -> Block:
        """Return the block of a number."""
        keywords: dict[str, Value] = {}
        for axis, value in zip(self.axes, self.choice(number).values(), strict=True):
            keywords.update(axis.cell_settings(value))
        return self.cell(**keywords)

    def label(self, number: int) -> str:
        """Return a block's name for people and files, such as `k3-e4-d2-relu`."""
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
            twin = next(label for label in labels if labels.count(label) > 1)
            raise ConfigError(f"{self.name}: every block needs a label of its own; rename values", got=twin)
        return labels

    def number_of_label(self, label: str) -> int:
        """Return the block number of a label; raises `UnknownNameError`."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise UnknownNameError(
                f"{self.name}: a block must be one of its labels", got=label, choices=self.labels
            ) from None
