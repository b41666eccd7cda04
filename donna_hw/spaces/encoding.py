"""Architectures of a space as rows and genes: arrays of many architectures, for searches and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.spaces.stage import Axis, Stage, Value

# int [n, stages + global axes]: a block number for each stage, then a value number for each global axis
Rows = np.ndarray
# int [n, genes]: one value number for each axis, stage after stage, then for each global axis
Genes = np.ndarray


@dataclass(frozen=True)
class Architecture:
    """One network of a space.

    Args:
        blocks: A block number for each stage.
        settings: A value for each global axis, such as the resolution.
    """

    blocks: tuple[int, ...]
    settings: tuple[Value, ...] = ()


class ArchitectureEncoding:
    """The numbering of the architectures of a space; `Space` derives from it."""

    name: str
    stages: tuple[Stage, ...]
    global_axes: tuple[Axis, ...]

    @property
    def stage_sizes(self) -> tuple[int, ...]:
        """Number of candidate blocks of each stage."""
        return tuple(stage.size for stage in self.stages)

    @cached_property
    def reference(self) -> Architecture:
        """The reference network: each stage's reference block, at each global axis's reference value."""
        settings = tuple(axis.reference_value for axis in self.global_axes)
        return Architecture(tuple(stage.reference for stage in self.stages), settings)

    @property
    def setting_counts(self) -> tuple[int, ...]:
        """Number of values of each global axis."""
        return tuple(len(axis.values) for axis in self.global_axes)

    @property
    def setting_combinations(self) -> list[tuple[int, ...]]:
        """All combinations of value numbers of the global axes, the last varying fastest; a single empty one without global axes."""
        return list(product(*map(range, self.setting_counts)))

    @property
    def size(self) -> int:
        """Number of architectures."""
        return prod(self.column_sizes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of rows: the stages, then the global axes."""
        return (*(stage.name for stage in self.stages), *(axis.name for axis in self.global_axes))

    @cached_property
    def column_labels(self) -> tuple[tuple[str, ...], ...]:
        """The label of each number of each column: of a stage's blocks, of a global axis's values."""
        settings = tuple(tuple(axis.label(value) for value in axis.values) for axis in self.global_axes)
        return (*(stage.labels for stage in self.stages), *settings)

    @property
    def column_sizes(self) -> tuple[int, ...]:
        """Count of numbers of each column."""
        return (*self.stage_sizes, *self.setting_counts)

    @cached_property
    def gene_counts(self) -> np.ndarray:
        """Number of values of each gene, int [genes]: one gene for each axis, stage after stage, then for each global axis."""
        counts = [count for stage in self.stages for count in stage.counts]
        return np.array([*counts, *self.setting_counts], dtype=np.int64)

    def genes_to_rows(self, genes: Genes) -> Rows:
        """Return rows int [n, stages + global axes] of genes int [n, genes]."""
        columns, start = [], 0
        for stage in self.stages:
            stop = start + len(stage.axes)
            columns.append(np.ravel_multi_index(tuple(genes[:, start:stop].T), stage.counts))
            start = stop
        return np.stack([*columns, *genes[:, start:].T], axis=1)

    def rows_to_genes(self, rows: Rows) -> Genes:
        """Return genes int [n, genes] of rows int [n, stages + global axes]."""
        count = len(self.stages)
        columns = [
            indices
            for stage, numbers in zip(self.stages, rows[:, :count].T, strict=True)
            for indices in np.unravel_index(numbers, stage.counts)
        ]
        return np.stack([*columns, *rows[:, count:].T], axis=1)

    def random_rows(self, count: int, rng: np.random.Generator | int) -> Rows:
        """Draw different architectures uniformly.

        Args:
            count: How many.
            rng: A generator or a seed.

        Returns:
            Rows, int [count, stages + global axes].

        Raises:
            ConfigError: If the space has fewer architectures.
        """
        if count > self.size:
            raise ConfigError(f"space {self.name} has only {self.size} architectures to draw", got=count)
        rng = np.random.default_rng(rng)
        rows: dict[tuple[int, ...], None] = {}
        sizes = np.array(self.column_sizes)
        while len(rows) < count:
            row = rng.integers(0, sizes)
            rows.setdefault(tuple(int(m) for m in row))
        return np.array(list(rows), dtype=np.int64).reshape(count, len(self.columns))

    def architecture(self, row: Sequence[int] | np.ndarray) -> Architecture:
        """Return the `Architecture` of a row; raises `ConfigError` for a row of another length or a value number out of range."""
        if len(row) != len(self.columns):
            raise ConfigError(f"a row of space {self.name} must have {len(self.columns)} numbers", got=len(row))
        count = len(self.stages)
        settings = []
        for axis, number in zip(self.global_axes, row[count:], strict=True):
            if not 0 <= number < len(axis.values):
                raise ConfigError(f"{axis.name}: a value number must be in 0..{len(axis.values) - 1}", got=int(number))
            settings.append(axis.values[int(number)])
        return Architecture(tuple(int(m) for m in row[:count]), tuple(settings))

    def row(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the row of an architecture: block numbers, then value numbers."""
        self.validate(architecture)
        pairs = zip(self.global_axes, architecture.settings, strict=True)
        return (*architecture.blocks, *(axis.values.index(value) for axis, value in pairs))

    def labels(self, architecture: Architecture) -> dict[str, str]:
        """Return {stage or global axis: label} of an architecture."""
        row = self.row(architecture)
        columns = zip(self.columns, self.column_labels, row, strict=True)
        return {name: labels[number] for name, labels, number in columns}

    def architecture_from_labels(self, labels: Mapping[str, str]) -> Architecture:
        """Return the architecture of {stage or global axis: label}; raises `UnknownNameError` for a missing or unknown label."""
        row = []
        for name, choices in zip(self.columns, self.column_labels, strict=True):
            if name not in labels:
                given = ", ".join(labels) or "nothing"
                raise UnknownNameError(
                    "no label for the stage or global axis", got=name, hint=f"labels exist for {given}"
                )
            if labels[name] not in choices:
                raise UnknownNameError(f"{name}: unknown label", got=labels[name], choices=choices)
            row.append(choices.index(labels[name]))
        return self.architecture(row)

    def network_name(self, architecture: Architecture) -> str:
        """Return a network's name in files and journals: the label of each stage and global axis, joined by `/`."""
        return "/".join(self.labels(architecture).values())

    def architecture_from_name(self, name: str) -> Architecture:
        """Return the architecture of a network's name, see `network_name`.

        Raises `ConfigError` for another number of labels and `UnknownNameError` for a label that a stage or global axis lacks.
        """
        labels = name.split("/")
        if len(labels) != len(self.columns):
            raise ConfigError(
                f"a network of {self.name} has {len(self.columns)} labels, joined by /",
                got=name,
                hint=f"such as {self.network_name(self.reference)}",
            )
        return self.architecture_from_labels(dict(zip(self.columns, labels, strict=True)))

    def validate(self, architecture: Architecture) -> None:
        """Raise `ConfigError` or `UnknownNameError` if the architecture does not belong to this space."""
        if len(architecture.blocks) != len(self.stages):
            raise ConfigError(
                f"an architecture of space {self.name} must have {len(self.stages)} blocks",
                got=len(architecture.blocks),
            )
        for stage, number in zip(self.stages, architecture.blocks, strict=True):
            stage.choice(number)
        self._validate_settings(architecture.settings)

    def _validate_settings(self, settings: tuple[Value, ...]) -> None:
        if len(settings) != len(self.global_axes):
            raise ConfigError(
                f"an architecture of space {self.name} must have {len(self.global_axes)} global settings",
                got=len(settings),
            )
        for axis, value in zip(self.global_axes, settings, strict=True):
            if value not in axis.values:
                choices = [str(choice) for choice in axis.values]
                raise UnknownNameError(f"unknown value of global axis {axis.name}", got=str(value), choices=choices)


def is_member(rows: Rows, others: Rows) -> np.ndarray:
    """Return which rows, int [n, columns], are among others, int [m, columns]: bool [n]."""
    known = set(map(tuple, others.tolist()))
    return np.array([tuple(row) in known for row in rows.tolist()], bool)
