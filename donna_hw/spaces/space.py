"""Space: fixed parts around searched stages, each stage a product of axes; architectures are rows of block numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np

from donna_hw.blocks.layers import Block, Graph, Shape, layers_hash, lower, lower_chain
from donna_hw.errors import BadSetting, UnknownName

Value = int | float | str
Rows = np.ndarray  # int [n, stages + global axes]: one block number a stage, one value number a global axis
Genes = np.ndarray  # int [n, genes]: one value number an axis, stage after stage, global axes last


@dataclass(frozen=True)
class Axis:
    """One searched property of a block.

    values: labels in the order of their numbers; append new ones, so that old tables stay valid.
    reference: the value of the reference network; the last one if none is named.
    settings: what a label sets in the cell, where it is more than {name: label}.
    """

    name: str
    values: tuple[Value, ...]
    reference: Value | None = None
    settings: Mapping[Value, Mapping[str, Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise BadSetting(f"axis {self.name}: its values must be one or more, each once", found=str(self.values))
        if self.reference is not None and self.reference not in self.values:
            raise UnknownName(
                f"axis {self.name}: the reference must be one of its values",
                found=str(self.reference),
                known=[str(value) for value in self.values],
            )

    @property
    def reference_value(self) -> Value:
        """The value that the reference network has."""
        return self.values[-1] if self.reference is None else self.reference

    def around(self, reference: Value) -> Axis:
        """Return the axis with another value as the reference's."""
        return replace(self, reference=reference)

    def sets(self, value: Value) -> Mapping[str, Value]:
        """Return the cell's keywords for a value."""
        return self.settings.get(value, {self.name: value})

    def label(self, value: Value) -> str:
        """Return the value for people: `k3` for a kernel of 3, a word as it is."""
        return value if isinstance(value, str) else f"{self.name[0]}{value}"

    def value_of_label(self, label: str) -> Value:
        """Return the value of a label; raises `UnknownName`."""
        labels = [self.label(value) for value in self.values]
        if label not in labels:
            raise UnknownName(f"axis {self.name}: a value must be one of its labels", found=label, known=labels)
        return self.values[labels.index(label)]


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
            raise BadSetting(f"{self.name}: a block number must lie in 0..{self.size - 1}", found=number)
        places = np.unravel_index(number, self.counts)
        return {axis.name: axis.values[int(place)] for axis, place in zip(self.axes, places, strict=True)}

    def number(self, choice: Mapping[str, Value]) -> int:
        """Return the block number of {axis: value}."""
        places = []
        for axis in self.axes:
            value = choice.get(axis.name)
            if value not in axis.values:
                raise UnknownName(
                    f"{self.name}: axis {axis.name} must have one of its values",
                    found=str(value),
                    known=[str(known) for known in axis.values],
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
            keywords.update(axis.sets(value))
        return self.cell(**keywords)

    def label(self, number: int) -> str:
        """Return a block's name for people and files, such as `k3-e4-d2-relu`."""
        return self.labels[number]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The label of every block, by number."""
        labels = tuple(
            "-".join(axis.label(value) for axis, value in zip(self.axes, self.choice(m).values(), strict=True))
            for m in range(self.size)
        )
        if len(set(labels)) < len(labels):
            twin = next(label for label in labels if labels.count(label) > 1)
            raise BadSetting(f"{self.name}: every block needs a label of its own; rename values", found=twin)
        return labels

    def number_of_label(self, label: str) -> int:
        """Return the block number of a label; raises `UnknownName`."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise UnknownName(
                f"{self.name}: a block must be one of its labels", found=label, known=self.labels
            ) from None


@dataclass(frozen=True)
class Architecture:
    """One network of a space: a block number for each stage, and a value for each global axis (resolution, precision)."""

    blocks: tuple[int, ...]
    settings: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Space:
    """A search space around a reference network.

    input_shape: (channels, height, width). before, after: named fixed parts (stem; tail, classifier). A layer-wise space is one
    whose stages are single layers. global_axes: properties of the whole network: `resolution`, the height and width of its input;
    what cannot honour them refuses them. address: what `load_space` was asked for, so that another process can load it too.
    """

    name: str
    title: str
    input_shape: Shape
    before: tuple[tuple[str, Block], ...]
    stages: tuple[Stage, ...]
    after: tuple[tuple[str, Block], ...]
    global_axes: tuple[Axis, ...] = ()
    address: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in self.part_names:
            if self.part_names.count(name) > 1:
                raise BadSetting(f"space {self.name}: every part needs a name of its own", found=name)

    @property
    def stage_sizes(self) -> tuple[int, ...]:
        """Number of candidate blocks of each stage."""
        return tuple(stage.size for stage in self.stages)

    @property
    def setting_counts(self) -> tuple[int, ...]:
        """Number of values of each global axis."""
        return tuple(len(axis.values) for axis in self.global_axes)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return prod(self.stage_sizes) * prod(self.setting_counts)

    def at(self, settings: Sequence[int]) -> Space:
        """Return the space at one value number of each global axis: of that input's size, and without global axes."""
        return self._settled[tuple(int(number) for number in settings)]

    @cached_property
    def _settled(self) -> Mapping[tuple[int, ...], Space]:
        return _Settled(self)

    @cached_property
    def reference(self) -> Architecture:
        """The reference network: each stage's reference block."""
        settings = tuple(axis.reference_value for axis in self.global_axes)
        return Architecture(tuple(stage.reference for stage in self.stages), settings)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of all parts in the order of the data: fixed, searched, fixed."""
        return (*(n for n, _ in self.before), *(s.name for s in self.stages), *(n for n, _ in self.after))

    @property
    def fixed(self) -> dict[str, Block]:
        """The fixed parts by name."""
        return dict((*self.before, *self.after))

    def parts(self, architecture: Architecture) -> list[tuple[str, Block]]:
        """Return the named blocks of a network in order."""
        self.check(architecture)
        searched = [(s.name, s.block(m)) for s, m in zip(self.stages, architecture.blocks, strict=True)]
        return [*self.before, *searched, *self.after]

    def network(self, architecture: Architecture) -> Graph:
        """Return the layers of a whole network."""
        if self.global_axes:
            self.check(architecture)
            settings = zip(self.global_axes, architecture.settings, strict=True)
            settled = self.at([axis.values.index(value) for axis, value in settings])
            return settled.network(Architecture(architecture.blocks))
        return lower_chain(self.parts(architecture), self.input_shape)

    @cached_property
    def output_shapes(self) -> dict[str, Shape]:
        """Output shape of every part, from the reference; all blocks of a stage share it, since width acts inside."""
        shapes, shape = {}, self.input_shape
        for name, block in self.parts(self.reference):
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
        raise UnknownName("a stage must be a known one", found=name, known=[stage.name for stage in self.stages])

    def block_graph(self, stage: Stage, number: int) -> Graph:
        """Return the layers of one candidate block alone; its output must have the reference's shape."""
        graph, expected = lower(stage.block(number), self.input_shapes[stage.name]), self.output_shapes[stage.name]
        if graph.output_shape != expected:
            raise BadSetting(
                f"{stage.name} {stage.label(number)}: its output must be {expected}", found=graph.output_shape
            )
        return graph

    def fixed_graph(self, name: str) -> Graph:
        """Return the layers of one fixed part alone."""
        return lower(self.fixed[name], self.input_shapes[name])

    def check(self, architecture: Architecture) -> None:
        """Raise `BadSetting` or `UnknownName` when the architecture is not one of this space."""
        if len(architecture.blocks) != len(self.stages):
            raise BadSetting(
                f"an architecture of {self.name} has {len(self.stages)} blocks", found=len(architecture.blocks)
            )
        for stage, number in zip(self.stages, architecture.blocks, strict=True):
            stage.choice(number)
        if len(architecture.settings) != len(self.global_axes):
            raise BadSetting(
                f"an architecture of {self.name} has {len(self.global_axes)} global settings",
                found=len(architecture.settings),
            )
        for axis, value in zip(self.global_axes, architecture.settings, strict=True):
            if value not in axis.values:
                known = [str(known) for known in axis.values]
                raise UnknownName(f"global axis {axis.name} must have one of its values", found=str(value), known=known)

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits that name the fixed frame: input, fixed parts, shapes between stages, names of the axes.

        Values are left out, so that an axis can grow; each row of a table carries the hash of its own layers.
        """
        frame = {
            "input": self.input_shape,
            "fixed": {name: layers_hash(self.fixed_graph(name)) for name in self.fixed},
            "stages": [(s.name, self.input_shapes[s.name], [axis.name for axis in s.axes]) for s in self.stages],
            "global": [axis.name for axis in self.global_axes],
        }
        return hashlib.sha256(json.dumps(frame, sort_keys=True).encode()).hexdigest()[:16]

    # Rows and genes: arrays of many architectures, for searches and models.

    @cached_property
    def gene_counts(self) -> np.ndarray:
        """Number of values of each gene, int [genes]: one gene an axis, stage after stage, global axes last."""
        counts = [count for stage in self.stages for count in stage.counts]
        return np.array([*counts, *self.setting_counts], dtype=np.int64)

    def rows(self, genes: Genes) -> Rows:
        """Return rows int [n, stages + global axes] of genes int [n, genes]."""
        columns, start = [], 0
        for stage in self.stages:
            stop = start + len(stage.axes)
            columns.append(np.ravel_multi_index(tuple(genes[:, start:stop].T), stage.counts))
            start = stop
        return np.stack([*columns, *genes[:, start:].T], axis=1)

    def genes(self, rows: Rows) -> Genes:
        """Return genes int [n, genes] of rows int [n, stages + global axes]."""
        columns = [
            place
            for stage, numbers in zip(self.stages, rows.T, strict=False)
            for place in np.unravel_index(numbers, stage.counts)
        ]
        return np.stack([*columns, *rows[:, len(self.stages) :].T], axis=1)

    def random_rows(self, count: int, rng: np.random.Generator | int) -> Rows:
        """Return `count` different architectures drawn uniformly by a generator or a seed, int [count, stages + global axes]."""
        if count > self.size:
            raise BadSetting(f"{self.name} has {self.size} architectures; draw no more", found=count)
        sizes = (*self.stage_sizes, *self.setting_counts)
        rng = np.random.default_rng(rng)
        found: dict[tuple[int, ...], None] = {}
        while len(found) < count:
            row = rng.integers(0, sizes)
            found.setdefault(tuple(int(m) for m in row))
        return np.array(list(found), dtype=np.int64).reshape(count, len(sizes))

    def architecture(self, row: Sequence[int] | np.ndarray) -> Architecture:
        """Return one row as an `Architecture`; global axes are at their reference where the row leaves them out."""
        blocks, settings = row[: len(self.stages)], row[len(self.stages) :]
        chosen = tuple(axis.values[int(number)] for axis, number in zip(self.global_axes, settings, strict=False))
        return Architecture(tuple(int(m) for m in blocks), chosen or self.reference.settings)

    def labels(self, architecture: Architecture) -> dict[str, str]:
        """Return {stage: label} of an architecture, and {global axis: label}."""
        self.check(architecture)
        blocks = {s.name: s.label(m) for s, m in zip(self.stages, architecture.blocks, strict=True)}
        settings = zip(self.global_axes, architecture.settings, strict=True)
        return blocks | {axis.name: axis.label(value) for axis, value in settings}

    def from_labels(self, labels: Mapping[str, str]) -> Architecture:
        """Return the architecture of {stage: label}, with {global axis: label} where the space has any."""
        for name in (*(stage.name for stage in self.stages), *(axis.name for axis in self.global_axes)):
            if name not in labels:
                raise UnknownName("an architecture needs a label for each stage", found=name, known=list(labels))
        blocks = tuple(stage.number_of_label(labels[stage.name]) for stage in self.stages)
        return Architecture(blocks, tuple(axis.value_of_label(labels[axis.name]) for axis in self.global_axes))


class _Settled(dict[tuple[int, ...], Space]):
    """A space at each setting of its global axes, made when it is first asked for."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space

    def __missing__(self, settings: tuple[int, ...]) -> Space:
        space = self._space
        if len(settings) != len(space.global_axes):
            raise BadSetting(
                f"{space.name} has {len(space.global_axes)} global axes", found=f"{len(settings)} settings"
            )
        shape = space.input_shape
        for axis, number in zip(space.global_axes, settings, strict=True):
            if axis.name != "resolution":
                raise UnknownName("a global axis must be a known one", found=axis.name, known=["resolution"])
            pixels = int(axis.values[number])
            shape = (shape[0], pixels, pixels)
        return self.setdefault(settings, replace(space, input_shape=shape, global_axes=()))
