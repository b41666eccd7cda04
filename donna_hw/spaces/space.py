"""Space: fixed parts around searched stages, each stage a product of axes; architectures are rows of block numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block, lower, lower_chain
from donna_hw.graph.graph import Graph, Shape, layers_hash
from donna_hw.spaces.stage import Axis, Stage, Value

if TYPE_CHECKING:
    from torch import Tensor

Rows = (
    np.ndarray
)  # int [n, stages + global axes]: a block number for each stage, then a value number for each global axis
Genes = np.ndarray  # int [n, genes]: one value number an axis, stage after stage, then the global axes

RESOLUTION = "resolution"  # the global axis that is the height and width of the images


@dataclass(frozen=True)
class Architecture:
    """One network of a space: a block number for each stage, and a value for each global axis (resolution)."""

    blocks: tuple[int, ...]
    settings: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Space:
    """A search space around a reference network.

    input_shape: (channels, height, width). before, after: named fixed parts (stem; tail, classifier). A layer-wise space is one
    whose stages are single layers. global_axes: properties of the whole network; `resolution` is the images' height and width, of which
    input_shape has the reference's; what cannot honour a global axis refuses it. address: what `load_space` was asked for, so that
    another process can load it too. given: the reference's trained weights by name, of a space that brings them.
    """

    name: str
    title: str
    input_shape: Shape
    before: tuple[tuple[str, Block], ...]
    stages: tuple[Stage, ...]
    after: tuple[tuple[str, Block], ...]
    global_axes: tuple[Axis, ...] = ()
    load_name: str = field(default="", compare=False)
    reference_weights: Callable[[], dict[str, Tensor]] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = (*self.part_names, *(axis.name for axis in self.global_axes))
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"space {self.name}: every part needs a name of its own", got=name)

    @property
    def stage_sizes(self) -> tuple[int, ...]:
        """Number of candidate blocks of each stage."""
        return tuple(stage.size for stage in self.stages)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return prod(self.column_sizes)

    @cached_property
    def reference(self) -> Architecture:
        """The reference network: each stage's reference block."""
        settings = tuple(axis.reference_value for axis in self.global_axes)
        return Architecture(tuple(stage.reference for stage in self.stages), settings)

    def at(self, settings: tuple[Value, ...]) -> Space:
        """Return the space at one value of each global axis: on images of that resolution, without global axes, `<space>@<n>px`.

        Raises `UnknownNameError` for a value that the axis lacks, and `ConfigError` for an axis that the layers do not know how to honour.
        """
        if not self.global_axes and not settings:
            return self
        if settings not in self._at:
            self._validate_settings(settings)
            for axis in self.global_axes:
                if axis.name != RESOLUTION:
                    raise ConfigError(
                        f"the layers of {self.name} can honour one global axis, {RESOLUTION}", got=axis.name
                    )
            self._at[settings] = self.with_image_size(int(settings[0]))
        return self._at[settings]

    def with_image_size(self, pixels: int) -> Space:
        """Return the space on images of another height and width, any number, its resolution no longer searched."""
        return replace(
            self,
            name=_with_pixels(self.name, pixels),
            load_name=_with_pixels(self.load_name, pixels) if self.load_name else "",
            input_shape=(self.input_shape[0], pixels, pixels),
            global_axes=tuple(axis for axis in self.global_axes if axis.name != RESOLUTION),
        )

    @property
    def setting_counts(self) -> tuple[int, ...]:
        """Number of values of each global axis."""
        return tuple(len(axis.values) for axis in self.global_axes)

    @property
    def setting_combinations(self) -> list[tuple[int, ...]]:
        """Every combination of value numbers of the global axes, the last fastest; one empty one where there are none."""
        return list(product(*map(range, self.setting_counts)))

    def at_index(self, setting: Sequence[int]) -> Space:
        """Return the space at one value number of each global axis; see `at`."""
        return self.at(tuple(axis.values[number] for axis, number in zip(self.global_axes, setting, strict=True)))

    @cached_property
    def _at(self) -> dict[tuple[Value, ...], Space]:
        return {}

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of all parts in the order of the data: fixed, searched, fixed."""
        return (*(n for n, _ in self.before), *(s.name for s in self.stages), *(n for n, _ in self.after))

    @property
    def fixed(self) -> dict[str, Block]:
        """The fixed parts by name."""
        return dict((*self.before, *self.after))

    def named_blocks(self, architecture: Architecture) -> list[tuple[str, Block]]:
        """Return the named blocks of a network in order."""
        self.validate(architecture)
        searched = [(s.name, s.block(m)) for s, m in zip(self.stages, architecture.blocks, strict=True)]
        return [*self.before, *searched, *self.after]

    def network_graph(self, architecture: Architecture) -> Graph:
        """Return the layers of a whole network, on images of its resolution."""
        return lower_chain(self.named_blocks(architecture), self.at(architecture.settings).input_shape)

    @cached_property
    def output_shapes(self) -> dict[str, Shape]:
        """Output shape of every part, from the reference; all blocks of a stage share it, since width acts inside."""
        shapes, shape = {}, self.input_shape
        for name, block in self.named_blocks(self.reference):
            shape = shapes[name] = lower(block, shape).output_shape
        return shapes

    @cached_property
    def input_shapes(self) -> dict[str, Shape]:
        """Input shape of every part: the output shape of the part before it."""
        before = (self.input_shape, *self.output_shapes.values())
        return dict(zip(self.part_names, before, strict=False))

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise UnknownNameError("a stage must be a known one", got=name, choices=[stage.name for stage in self.stages])

    def block_graph(self, stage: Stage, number: int) -> Graph:
        """Return the layers of one candidate block alone; its output must have the reference's shape."""
        graph, expected = lower(stage.block(number), self.input_shapes[stage.name]), self.output_shapes[stage.name]
        if graph.output_shape != expected:
            raise ConfigError(
                f"{stage.name} {stage.label(number)}: its output must be {expected}", got=graph.output_shape
            )
        return graph

    def fixed_graph(self, name: str) -> Graph:
        """Return the layers of one fixed part alone."""
        return lower(self.fixed[name], self.input_shapes[name])

    def validate(self, architecture: Architecture) -> None:
        """Raise `ConfigError` or `UnknownNameError` when the architecture is not one of this space."""
        if len(architecture.blocks) != len(self.stages):
            raise ConfigError(
                f"an architecture of {self.name} has {len(self.stages)} blocks", got=len(architecture.blocks)
            )
        for stage, number in zip(self.stages, architecture.blocks, strict=True):
            stage.choice(number)
        self._validate_settings(architecture.settings)

    def _validate_settings(self, settings: tuple[Value, ...]) -> None:
        if len(settings) != len(self.global_axes):
            raise ConfigError(
                f"an architecture of {self.name} has {len(self.global_axes)} global settings", got=len(settings)
            )
        for axis, value in zip(self.global_axes, settings, strict=True):
            if value not in axis.values:
                known = [str(known) for known in axis.values]
                raise UnknownNameError(
                    f"global axis {axis.name} must have one of its values", got=str(value), choices=known
                )

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits that name the fixed frame: input, fixed parts, shapes between stages, names of the axes.

        An axis with a value that goes unsaid is left out, since it may come later. Values are left out too, so that an axis can grow; each
        row of a table carries the hash of its own layers.
        """
        frame = {
            "input": self.input_shape,
            "fixed": {name: layers_hash(self.fixed_graph(name)) for name in self.fixed},
            "stages": [
                (s.name, self.input_shapes[s.name], [axis.name for axis in s.axes if axis.default_label is None])
                for s in self.stages
            ],
            "global": [axis.name for axis in self.global_axes],
        }
        return hashlib.sha256(json.dumps(frame, sort_keys=True).encode()).hexdigest()[:16]

    # Rows and genes: arrays of many architectures, for searches and models.

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of rows: the stages, then the global axes."""
        return (*(stage.name for stage in self.stages), *(axis.name for axis in self.global_axes))

    @cached_property
    def column_labels(self) -> tuple[tuple[str, ...], ...]:
        """The label of every number of every column: of a stage's blocks, of a global axis's values."""
        settings = tuple(tuple(axis.label(value) for value in axis.values) for axis in self.global_axes)
        return (*(stage.labels for stage in self.stages), *settings)

    @property
    def column_sizes(self) -> tuple[int, ...]:
        """How many numbers each column has."""
        return (*self.stage_sizes, *self.setting_counts)

    @cached_property
    def gene_counts(self) -> np.ndarray:
        """Number of values of each gene, int [genes]: one gene an axis, stage after stage, then the global axes."""
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
            place
            for stage, numbers in zip(self.stages, rows[:, :count].T, strict=True)
            for place in np.unravel_index(numbers, stage.counts)
        ]
        return np.stack([*columns, *rows[:, count:].T], axis=1)

    def random_rows(self, count: int, rng: np.random.Generator | int) -> Rows:
        """Return `count` different architectures drawn uniformly by a generator or a seed, int [count, stages + global axes]."""
        if count > self.size:
            raise ConfigError(f"{self.name} has {self.size} architectures; draw no more", got=count)
        rng = np.random.default_rng(rng)
        found: dict[tuple[int, ...], None] = {}
        sizes = np.array(self.column_sizes)
        while len(found) < count:
            row = rng.integers(0, sizes)
            found.setdefault(tuple(int(m) for m in row))
        return np.array(list(found), dtype=np.int64).reshape(count, len(self.columns))

    def architecture(self, row: Sequence[int] | np.ndarray) -> Architecture:
        """Return one row, a block number a stage and a value number a global axis, as an `Architecture`."""
        if len(row) != len(self.columns):
            raise ConfigError(f"a row of {self.name} has {len(self.columns)} numbers", got=len(row))
        count = len(self.stages)
        settings = []
        for axis, number in zip(self.global_axes, row[count:], strict=True):
            if not 0 <= number < len(axis.values):
                raise ConfigError(f"{axis.name}: a value number must lie in 0..{len(axis.values) - 1}", got=int(number))
            settings.append(axis.values[int(number)])
        return Architecture(tuple(int(m) for m in row[:count]), tuple(settings))

    def row(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the numbers of an architecture: its row."""
        self.validate(architecture)
        pairs = zip(self.global_axes, architecture.settings, strict=True)
        return (*architecture.blocks, *(axis.values.index(value) for axis, value in pairs))

    def labels(self, architecture: Architecture) -> dict[str, str]:
        """Return {stage or global axis: label} of an architecture."""
        row = self.row(architecture)
        columns = zip(self.columns, self.column_labels, row, strict=True)
        return {name: labels[number] for name, labels, number in columns}

    def architecture_from_labels(self, labels: Mapping[str, str]) -> Architecture:
        """Return the architecture of {stage or global axis: label}."""
        row = []
        for name, known in zip(self.columns, self.column_labels, strict=True):
            if name not in labels:
                raise UnknownNameError("an architecture needs a label for each stage", got=name, choices=list(labels))
            if labels[name] not in known:
                raise UnknownNameError(f"{name}: a block must be one of its labels", got=labels[name], choices=known)
            row.append(known.index(labels[name]))
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


def _with_pixels(name: str, pixels: int) -> str:
    """Return `<name>@<pixels>px`, other variations after it."""
    plain, *variations = name.split("@")
    return "@".join([plain, f"{pixels}px", *variations])
